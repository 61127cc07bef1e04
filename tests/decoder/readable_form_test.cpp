// DecoderLayer::forward is the layer: whatever runs in its place computes the same, in training, evaluation and
// decoding.
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <thread>

#include "decoder/decoding_step.h"
#include "decoder/fused_layers.h"
#include "decoder/tiny_model.h"
#include "kernels/fused.h"
#include "ops/decoder_sublayers.h"
#include "support/tensor_bytes.h"

namespace shine::test {
namespace {

constexpr double kRounding = 2e-5;

using Ids = std::vector<std::vector<std::int64_t>>;

/// Of each family, in each layout of attention.
class ReadableForm : public testing::TestWithParam<std::tuple<bool, AttentionLayout>> {
 protected:
  DecoderConfig config() const { return std::get<0>(GetParam()) ? tiny_biased_config() : tiny_config(); }
  LoraTree lora() const { return random_tree(config().lora_spec(), 2, 7); }

  /// What `made` gives by the forms that run and by the readable ones.
  template <class F>
  static auto both(const F& made) {
    auto fused = made();
    const FusedOpsGuard readable(FusedOps::off);
    return std::pair{std::move(fused), made()};
  }

  static TokenRows pack(const Ids& rows) { return TokenRows::pack(rows, at::kCPU); }

  const Ids rows_ = random_rows({7, 1, 12, 4}, 1);
  std::unique_ptr<Decoder> decoder_ = tiny_decoder(config(), {.attention = std::get<1>(GetParam())});
};
INSTANTIATE_TEST_SUITE_P(Families, ReadableForm,
                         testing::Combine(testing::Bool(),
                                          testing::Values(AttentionLayout::per_row, AttentionLayout::padded)),
                         [](const auto& tested) {
                           const bool padded = std::get<1>(tested.param) == AttentionLayout::padded;
                           return std::string(std::get<0>(tested.param) ? "LlamaWithBiases" : "Qwen3") +
                                  (padded ? "Padded" : "PerRow");
                         });

TEST(FusedForm, RunsForEveryFamilysUsualNumbers) {
  for (const bool qk_norm : {false, true}) {
    for (const bool biases : {false, true}) {
      for (const double theta : {1e4, 1e5, 5e5, 1e6, 5e6}) {
        for (const double eps : {1e-5, 1e-6}) {
          DecoderConfig config = biases ? tiny_biased_config() : tiny_config();
          config.qk_norm = qk_norm;
          config.rope_theta = theta;
          config.rms_norm_eps = eps;
          EXPECT_TRUE(fused_backend(*tiny_decoder(config)).has_value())
              << "rope_theta " << theta << ", rms_norm_eps " << eps << (qk_norm ? ", q/k norms" : "")
              << (biases ? ", biases" : "");
        }
      }
    }
  }
}

TEST_P(ReadableForm, IsWhatIsTrained) {
  const LabelledTokens labelled = LabelledTokens::of(rows_, at::kCPU);
  const auto train = [&] {
    LoraTree tree = lora();
    TensorMap values;
    for_each_tensor(tree,
                    [&](const std::string& name, at::Tensor& tensor) { values[name] = tensor.requires_grad_(true); });
    const at::Tensor loss = decoder_->losses(decoder_->forward(pack(rows_), &tree), labelled).mean();
    loss.backward();
    for (auto& [name, value] : values) value = value.grad();
    values["loss"] = loss.detach();
    return values;
  };
  const auto [fused, readable] = both(train);
  ASSERT_EQ(fused.size(), readable.size());
  for (const auto& [name, expected] : readable) {
    EXPECT_GT(expected.norm().item<double>(), 0.0) << name;
    EXPECT_LT(relative_error(fused.at(name), expected), kRounding) << name;
  }
}

TEST_P(ReadableForm, IsWhatIsEvaluated) {
  const c10::InferenceMode inference;
  const LoraTree tree = lora();
  for (const LoraTree* adapted : {static_cast<const LoraTree*>(nullptr), &tree}) {
    const auto [fused, readable] = both([&] { return decoder_->logits(decoder_->forward(pack(rows_), adapted)); });
    EXPECT_LT(relative_error(fused, readable), kRounding) << (adapted ? "with" : "without") << " a LoRA";
  }
}

/// Prompts, then a token a row twice, by a cache; and the same by steps of fixed size.
TEST_P(ReadableForm, IsWhatDecodes) {
  const LoraTree tree = lora();
  const auto decode = [&](bool fixed) {
    KvCache cache = make_cache(*decoder_, 4);
    cache.reserve(20);
    std::vector<at::Tensor> logits{decoder_->logits(decoder_->forward(pack(rows_), &tree, cache))};
    DecodingStep step(*decoder_, &tree, cache, /*capture=*/true);
    for (const std::uint64_t token : {20U, 21U}) {
      const std::vector<std::int64_t> ids = random_ids(4, token);
      const TokenRows added = pack({{ids[0]}, {ids[1]}, {ids[2]}, {ids[3]}});
      logits.push_back(fixed ? step.run(ids, {true, true, true, true}).clone()
                             : decoder_->logits(decoder_->forward(added, &tree, cache)));
    }
    return at::cat(logits);
  };
  const auto [fused, readable] = both([&] { return decode(false); });
  EXPECT_LT(relative_error(fused, readable), kRounding);
  const auto [fused_steps, readable_steps] = both([&] { return decode(true); });
  EXPECT_LT(relative_error(fused_steps, readable_steps), kRounding);
  EXPECT_LT(relative_error(readable_steps, readable), kRounding);

  // Each token's logits are those of its whole row, trained or not.
  Ids whole = rows_;
  for (const std::uint64_t token : {20U, 21U}) {
    const std::vector<std::int64_t> ids = random_ids(4, token);
    for (std::size_t row = 0; row < whole.size(); ++row) whole[row].push_back(ids[row]);
  }
  const at::Tensor all = decoder_->logits(decoder_->forward(pack(whole), &tree));
  const RowLayout layout = pack(whole).layout;
  for (std::int64_t row = 0; row < 4; ++row) {
    const std::int64_t last = layout.starts[static_cast<std::size_t>(row) + 1] - 1;
    EXPECT_LT(relative_error(readable[readable.size(0) - 4 + row], all[last]), kRounding) << row;
  }
}

TEST_P(ReadableForm, FusedLayersRunUnlessTheyAreOffOrTrained) {
  const auto expected = cpu_backend_runs(at::kFloat, at::kCPU) ? SublayerBackend::cpu : SublayerBackend::torch;
  EXPECT_EQ(fused_backend(*decoder_), std::optional(expected));
  for (const SublayerBackend backend : {SublayerBackend::cpu, SublayerBackend::torch}) {
    if (backend == SublayerBackend::cpu && expected != backend) continue;
    EXPECT_EQ(fused_backend(*tiny_decoder(config(), {.backend = backend})), std::optional(backend))
        << "does not agree with the readable layer";
  }
  {
    const c10::InferenceMode inference;  // where an evaluation asks first
    EXPECT_EQ(fused_backend(*decoder_), std::optional(expected));
  }
  {
    const FusedOpsGuard off(FusedOps::off);
    EXPECT_EQ(fused_backend(*decoder_), std::nullopt);
  }
  decoder_->set_trained();
  EXPECT_EQ(fused_backend(*decoder_), std::nullopt);
}

/// A decoder made later, and one asked in another thread, cost nothing.
TEST(FusedBackend, IsComparedOnceInTheProcess) {
  DecoderConfig config = tiny_config();
  config.rms_norm_eps = 1e-5;  // of no other test
  const auto first = tiny_decoder(config), second = tiny_decoder(config);
  const auto peak_of = [](const Decoder& decoder) {
    const TensorBytes bytes;
    EXPECT_TRUE(fused_backend(decoder));
    return bytes.peak();
  };
  std::int64_t in_thread = -1;
  EXPECT_GT(peak_of(*first), 0);
  std::jthread([&] { in_thread = peak_of(*second); }).join();
  EXPECT_EQ(in_thread, 0);
  EXPECT_EQ(peak_of(*second), 0);
}

TEST(FusedBackend, IsAskedByManyThreadsAtOnce) {
  DecoderConfig config = tiny_config();
  config.rms_norm_eps = 2e-5;  // of no other test
  const auto decoder = tiny_decoder(config);
  std::vector<std::optional<SublayerBackend>> found(8);
  {
    std::vector<std::jthread> threads;
    for (auto& each : found) threads.emplace_back([&] { each = fused_backend(*decoder); });
  }
  EXPECT_EQ(found, std::vector(8, fused_backend(*decoder)));
  EXPECT_TRUE(found.front());
}

/// What is said of a config before there is a decoder is what its decoder does.
TEST(FusedLayersBackend, IsTheOneThatRuns) {
  DecoderConfig odd = tiny_config();
  odd.intermediate_size = 25;  // no pairs for the CPU backend's bf16 products
  for (const DecoderConfig& config : {tiny_config(), tiny_biased_config(), odd}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const auto decoder = tiny_decoder(config, {.dtype = type});
      EXPECT_EQ(fused_layers_backend(config, type, at::kCPU), fused_backend(*decoder))
          << config.intermediate_size << at::toString(type);
      const FusedOpsGuard off(FusedOps::off);
      EXPECT_EQ(fused_layers_backend(config, type, at::kCPU), std::nullopt);
    }
  }
  EXPECT_EQ(fused_layers_backend(odd, at::kBFloat16, at::kCPU), SublayerBackend::torch);
  EXPECT_EQ(fused_layers_backend(tiny_config(), at::kFloat, at::kCUDA), SublayerBackend::torch);
}

/// Every field of a config with another value: the fused layers read it, or it does not concern the layers. An added
/// field is unknown until fused_layers_know lists it: configs that differ in any field are not equal.
TEST(FusedLayersKnow, EveryFieldThatTheyRead) {
  const std::vector<std::pair<const char*, void (*)(DecoderConfig&)>> changes{
      {"model_type", [](DecoderConfig& config) { config.model_type = "mistral"; }},
      {"vocab_size", [](DecoderConfig& config) { config.vocab_size = 41; }},
      {"hidden_size", [](DecoderConfig& config) { config.hidden_size = 18; }},
      {"intermediate_size", [](DecoderConfig& config) { config.intermediate_size = 26; }},
      {"layers", [](DecoderConfig& config) { config.layers = 3; }},
      {"heads", [](DecoderConfig& config) { config.heads = 4; }},
      {"kv_heads", [](DecoderConfig& config) { config.kv_heads = 2; }},
      {"head_dim", [](DecoderConfig& config) { config.head_dim = 10; }},
      {"max_positions", [](DecoderConfig& config) { config.max_positions = 7; }},
      {"rms_norm_eps", [](DecoderConfig& config) { config.rms_norm_eps = 1e-3; }},
      {"rope_theta", [](DecoderConfig& config) { config.rope_theta = 500.0; }},
      {"tied_embeddings", [](DecoderConfig& config) { config.tied_embeddings ^= true; }},
      {"rope_scaling",
       [](DecoderConfig& config) {
         config.rope_scaling = {RopeScaling::Kind::linear, 2.0};
       }},
      {"sliding_window", [](DecoderConfig& config) { config.sliding_window = 99; }},
      {"qkv_bias", [](DecoderConfig& config) { config.qkv_bias ^= true; }},
      {"o_bias", [](DecoderConfig& config) { config.o_bias ^= true; }},
      {"mlp_bias", [](DecoderConfig& config) { config.mlp_bias ^= true; }},
      {"qk_norm", [](DecoderConfig& config) { config.qk_norm ^= true; }},
  };
  for (const DecoderConfig& config : {DecoderConfig{}, tiny_config(), tiny_biased_config()}) {
    EXPECT_TRUE(fused_layers_know(config)) << config.model_type;
    for (const auto& [field, change] : changes) {
      DecoderConfig changed = config;
      change(changed);
      EXPECT_NE(changed, config) << field;
      EXPECT_TRUE(fused_layers_know(changed)) << field;
    }
  }
}

TEST(FusedLayersKnow, NotWhatTheyDoNotRead) {
  const std::vector<std::pair<const char*, void (*)(DecoderConfig&)>> changes{
      {"unrotated_layers", [](DecoderConfig& config) { config.unrotated_layers = {1}; }},
      {"qk_norm_across_heads", [](DecoderConfig& config) { config.qk_norm_across_heads = true; }},
      {"post_norm", [](DecoderConfig& config) { config.post_norm = true; }},
  };
  for (const auto& [field, change] : changes) {
    DecoderConfig changed = tiny_config();
    change(changed);
    EXPECT_FALSE(fused_layers_know(changed)) << field;
    EXPECT_EQ(fused_backend(*tiny_decoder(changed)), std::nullopt) << field;
  }
}

/// They compute what they claim to know: each capability alone, in training.
TEST(FusedLayersKnow, WhatTheyCompute) {
  std::vector<DecoderConfig> configs(9, tiny_config());
  configs[0].qkv_bias = true;
  configs[1].mlp_bias = true;
  configs[2].qk_norm = false;
  configs[3].rms_norm_eps = 1e-2;
  configs[4].rope_theta = 3.0;
  configs[5].heads = configs[5].kv_heads = 3;
  configs[6].o_bias = true;
  configs[7].rope_scaling = {RopeScaling::Kind::linear, 3.0};
  configs[8].rope_scaling = {RopeScaling::Kind::llama3, 8.0, 1.0, 4.0, 32};
  for (std::size_t i = 0; i < configs.size(); ++i) {
    const auto decoder = tiny_decoder(configs[i]);
    const LoraTree tree = random_tree(configs[i].lora_spec(), 1, 7);
    const TokenRows rows = TokenRows::pack(random_rows({9, 5}, 1), at::kCPU);
    const at::Tensor fused = decoder->forward(rows, &tree);
    EXPECT_NE(fused_backend(*decoder), std::nullopt) << i;
    const FusedOpsGuard readable(FusedOps::off);
    EXPECT_LT(relative_error(fused, decoder->forward(rows, &tree)), kRounding) << i;
  }
}

}  // namespace
}  // namespace shine::test
