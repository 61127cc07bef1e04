#include "shine/decoder/decoder.h"

#include <gtest/gtest.h>

#include "decoder/tiny_kinds.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine::test {
namespace {

constexpr double kRounding = 2e-6;

TokenRows pack(const std::vector<std::vector<std::int64_t>>& rows) {
  return TokenRows::pack(rows, at::kCPU);
}

class DecoderKinds : public testing::TestWithParam<TinyKind> {
 protected:
  DecoderConfig config() const { return GetParam().config(); }
};
INSTANTIATE_TEST_SUITE_P(Families, DecoderKinds, testing::ValuesIn(kTinyKinds),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(DecoderKinds, NormsAreThoseOfTheNamedWeights) {
  const auto decoder = tiny_decoder(config());
  const at::Tensor norms = projection_norms(*decoder);
  EXPECT_EQ(norms.sizes(), at::IntArrayRef({2, 7}));
  std::map<std::string, double> named;
  for (const auto& [name, weight] : named_tensors(*decoder)) named[name] = weight.norm().item<double>();
  EXPECT_NEAR(norms[0][0].item<double>(), named.at("model.layers.0.self_attn.q_proj.weight"), 1e-5);
  EXPECT_NEAR(norms[1][6].item<double>(), named.at("model.layers.1.mlp.down_proj.weight"), 1e-5);
}

TEST_P(DecoderKinds, RowsAloneEqualRowsInABatchInBothLayouts) {
  const auto rows = random_rows({7, 1, 12, 4}, 1);
  for (const AttentionLayout layout : {AttentionLayout::per_row, AttentionLayout::padded}) {
    const auto decoder = tiny_decoder(config(), {.attention = layout});
    const TokenRows packed = pack(rows);
    const at::Tensor together = decoder->forward(packed, nullptr);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const at::Tensor alone = decoder->forward(pack({rows[i]}), nullptr);
      const at::Tensor part = together.narrow(0, packed.layout.starts[i], alone.size(0));
      EXPECT_LT(relative_error(part, alone), kRounding) << "row " << i;
    }
  }
}

TEST_P(DecoderKinds, ATokenDoesNotSeeWhatFollows) {
  const auto decoder = tiny_decoder(config());
  auto row = random_ids(9, 3);
  const at::Tensor before = decoder->forward(pack({row}), nullptr);
  row[6] = (row[6] + 1) % 40;
  const at::Tensor after = decoder->forward(pack({row}), nullptr);
  EXPECT_EQ(relative_error(after.narrow(0, 0, 6), before.narrow(0, 0, 6)), 0.0);
  for (std::int64_t i = 6; i < 9; ++i) EXPECT_GT(relative_error(after[i], before[i]), 1e-4) << i;
}

TEST_P(DecoderKinds, ZeroAdapterIsThePlainBackbone) {
  const auto decoder = tiny_decoder(config());
  LoraTree tree = random_tree(config().lora_spec(), 1, 7);
  const TokenRows rows = pack(random_rows({6, 9}, 2));
  const at::Tensor plain = decoder->forward(rows, nullptr);
  EXPECT_GT(relative_error(decoder->forward(rows, &tree), plain), 1e-2);
  for_each_tensor(tree, [](const std::string& name, at::Tensor& tensor) {
    if (!name.ends_with(".A")) tensor.zero_();
  });
  EXPECT_LT(relative_error(decoder->forward(rows, &tree), plain), kRounding);
}

TEST_P(DecoderKinds, RowsThatShareALoraEqualEachAlone) {
  const auto decoder = tiny_decoder(config());
  const auto rows = random_rows({6, 9, 1, 5}, 2);
  const TokenRows packed = pack(rows);
  for (const std::int64_t adapters : {1, 2, 4}) {
    const LoraTree tree = random_tree(config().lora_spec(), adapters, 7);
    const at::Tensor together = decoder->forward(packed, &tree);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const LoraTree mine = one_adapter(tree, static_cast<std::int64_t>(i) * adapters / 4);
      const at::Tensor alone = decoder->forward(pack({rows[i]}), &mine);
      const at::Tensor part = together.narrow(0, packed.layout.starts[i], alone.size(0));
      EXPECT_LT(relative_error(part, alone), kRounding) << adapters << " adapters, row " << i;
    }
  }
  const LoraTree three = random_tree(config().lora_spec(), 3, 7);
  EXPECT_THROW(decoder->forward(packed, &three), ShapeError);
}

TEST_P(DecoderKinds, LossesAreTheCrossEntropyOfTheLogits) {
  const auto decoder = tiny_decoder(config());
  const TokenRows rows = pack(random_rows({6, 9}, 2));
  const at::Tensor hidden = decoder->forward(rows, nullptr);
  const LabelledTokens labelled =
      LabelledTokens::of({{-100, -100, 3, 4, -100, 6}, std::vector<std::int64_t>(9, 5)}, at::kCPU);
  EXPECT_EQ(labelled.count(), 3 + 8);
  for (const bool trained : {false, true}) {
    if (trained) decoder->set_trained();
    const at::Tensor log_probabilities = decoder->logits(hidden).index_select(0, labelled.positions).log_softmax(-1);
    const at::Tensor expected = -log_probabilities.gather(1, labelled.targets.unsqueeze(1)).squeeze(1);
    EXPECT_LT(relative_error(decoder->losses(hidden, labelled), expected), kRounding);
  }
}

TEST_P(DecoderKinds, HasTheNamesOfHuggingFaceAndNoValuesBeforeTheyAreSet) {
  const Decoder decoder(config(), {});
  std::vector<std::string> names{"model.embed_tokens.weight"};
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    for (const char* projection : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"}) {
      names.push_back(str(layer, projection, ".weight"));
      const bool bias = std::string(projection) == "self_attn.o_proj" ? config().o_bias : config().qkv_bias;
      if (bias) names.push_back(str(layer, projection, ".bias"));
    }
    if (config().qk_norm || config().qk_norm_across_heads) {
      for (const char* norm : {"self_attn.q_norm.weight", "self_attn.k_norm.weight"}) names.push_back(str(layer, norm));
    }
    for (const char* projection : {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      names.push_back(str(layer, projection, ".weight"));
      if (config().mlp_bias) names.push_back(str(layer, projection, ".bias"));
    }
    const bool post = config().post_norm;
    names.push_back(str(layer, post ? "post_attention_layernorm.weight" : "input_layernorm.weight"));
    names.push_back(str(layer, post ? "post_feedforward_layernorm.weight" : "post_attention_layernorm.weight"));
  }
  names.emplace_back("model.norm.weight");
  if (!config().tied_embeddings) names.emplace_back("lm_head.weight");
  EXPECT_EQ(decoder.named_parameters().keys(), names);
  for (const auto& [name, weight] : named_tensors(decoder)) {
    EXPECT_FALSE(weight.requires_grad()) << name;
    EXPECT_EQ(weight.storage().nbytes(), sizeof(float)) << name;
  }
  EXPECT_EQ(count_parameters(decoder), count_parameters(*tiny_decoder(config())));
}

TEST(Decoder, RefusesRowsInWhichASlidingWindowWouldTakeEffect) {
  DecoderConfig config = tiny_config();
  config.sliding_window = 6;
  const auto decoder = tiny_decoder(config), without = tiny_decoder();
  const TokenRows fits = pack(random_rows({6, 3}, 1));
  EXPECT_TRUE(at::equal(decoder->forward(fits, nullptr), without->forward(fits, nullptr)));
  EXPECT_THROW(decoder->forward(pack(random_rows({3, 7}, 1)), nullptr), ShapeError);
}

TEST(Decoder, SoftmaxSizeLeavesTheLastIdsOut) {
  const auto decoder = tiny_decoder();
  const TokenRows rows = pack({random_ids(8, 1, 30)});
  const at::Tensor hidden = decoder->forward(rows, nullptr);
  const LabelledTokens labelled = LabelledTokens::of({std::vector<std::int64_t>(8, 5)}, at::kCPU);
  const at::Tensor all = decoder->logits(hidden);
  decoder->set_softmax_size(31);
  const at::Tensor some = decoder->logits(hidden);
  EXPECT_EQ(some.size(1), 31);
  EXPECT_LT(relative_error(some, all.narrow(1, 0, 31)), kRounding);
  const at::Tensor expected = -some.narrow(0, 0, 7).log_softmax(-1).select(1, 5);
  EXPECT_LT(relative_error(decoder->losses(hidden, labelled), expected), kRounding);
  for (const std::int64_t size : {0, -1, 41}) EXPECT_THROW(decoder->set_softmax_size(size), ShapeError) << size;
}

TEST(Decoder, EmbedRefusesIdsWithoutARow) {
  const auto decoder = tiny_decoder();
  const auto ids = [](std::vector<std::int64_t> values) { return pack({std::move(values)}); };
  EXPECT_EQ(decoder->embed(ids({0, 39})).size(0), 2);
  EXPECT_THROW(decoder->embed(ids({0, 40})), ShapeError);
  EXPECT_THROW(decoder->embed(ids({-1, 3})), ShapeError);
  decoder->set_new_token_rows(random_tensor({2, 16}, 1));
  EXPECT_EQ(relative_error(decoder->embed(ids({41, 3, 40, 41}))[2], random_tensor({2, 16}, 1)[0]), 0.0);
  EXPECT_EQ(relative_error(decoder->embed(ids({41, 3, 40, 41}))[1], decoder->embed(ids({3}))[0]), 0.0);
  EXPECT_THROW(decoder->embed(ids({42})), ShapeError);
  const TokenRows unknown_range{ids({42}).ids, ids({42}).layout};
  EXPECT_THROW(decoder->embed(unknown_range), ShapeError);
}

TEST(Decoder, HiddenStatesAndLorasOfAnotherSizeAreRefused) {
  const auto decoder = tiny_decoder();
  const TokenRows rows = pack({random_ids(8, 1)});
  EXPECT_THROW(decoder->run_layers(at::zeros({7, 16}), rows.layout, nullptr), ShapeError);
  EXPECT_THROW(decoder->run_layers(at::zeros({8, 15}), rows.layout, nullptr), ShapeError);
  LoraTree tree = random_tree(tiny_config().lora_spec(), 1, 7);
  tree.layers.pop_back();
  EXPECT_THROW(decoder->forward(rows, &tree), ShapeError);
}

TEST_P(DecoderKinds, RecomputationGivesTheSameGradientsWhenTrained) {
  TensorMap gradients[2];
  for (const bool recompute : {false, true}) {
    const auto decoder = tiny_decoder(config(), {.recompute = recompute});
    decoder->set_trained();
    const TokenRows rows = pack(random_rows({6, 9}, 2));
    const LabelledTokens labelled =
        LabelledTokens::of({std::vector<std::int64_t>(6, 2), std::vector<std::int64_t>(9, 5)}, at::kCPU);
    decoder->losses(decoder->forward(rows, nullptr), labelled).sum().backward();
    gradients[recompute] = take_gradients(named_tensors(*decoder));
  }
  for (const auto& [name, expected] : gradients[0]) {
    // The gradient of the key bias is zero in exact arithmetic.
    const bool key_bias = name.ends_with("k_proj.bias");
    if (!key_bias) {
      EXPECT_GT(expected.norm().item<double>(), 0.0) << name;
      EXPECT_LT(relative_error(gradients[1].at(name), expected), 1e-5) << name;
    }
    EXPECT_LT((gradients[1].at(name) - expected).norm().item<double>(), 1e-5) << name;
  }
}

}  // namespace
}  // namespace shine::test
