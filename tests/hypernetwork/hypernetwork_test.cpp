#include "shine/hypernetwork/hypernetwork.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/function.h>

#include <set>

#include "checkpoint/published_checkpoint.h"
#include "decoder/tiny_model.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

constexpr double kRounding = 5e-6;

TokenRows pack(const std::vector<std::vector<std::int64_t>>& rows) {
  return TokenRows::pack(rows, at::kCPU);
}

struct Batch {
  TokenRows contexts, conversations;
  LabelledTokens labelled;
};

Batch make_batch(const std::vector<std::size_t>& lengths, std::uint64_t seed, std::int64_t vocabulary = 40) {
  std::vector<std::vector<std::int64_t>> contexts, conversations;
  for (const std::size_t length : lengths) {
    contexts.push_back(random_ids(length, ++seed, vocabulary));
    conversations.push_back(random_ids(length + 2, ++seed, vocabulary));
  }
  return {pack(contexts), pack(conversations), LabelledTokens::of(conversations, at::kCPU)};
}

at::Tensor loss_of(const Hypernetwork& hypernetwork, const Batch& batch) {
  const GeneratedLora lora = hypernetwork.generate(batch.contexts);
  const Decoder& decoder = hypernetwork.decoder();
  return decoder.losses(decoder.forward(batch.conversations, &lora.tree), batch.labelled).mean();
}

TensorMap gradients_of(const Hypernetwork& hypernetwork, const Batch& batch) {
  loss_of(hypernetwork, batch).backward();
  return take_gradients(hypernetwork.trained());
}

void expect_same_gradients(const TensorMap& found, const TensorMap& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, gradient] : expected) {
    EXPECT_GT(gradient.norm().item<double>(), 0.0) << name;
    EXPECT_LT(relative_error(without_key_bias(name, found.at(name)), without_key_bias(name, gradient)), tolerance)
        << name;
  }
}

class HypernetworkKinds : public testing::TestWithParam<bool> {
 protected:
  DecoderConfig config() const { return GetParam() ? tiny_biased_config() : tiny_config(); }
};
INSTANTIATE_TEST_SUITE_P(Families, HypernetworkKinds, testing::Bool(), [](const auto& tested) {
  return tested.param ? std::string("LlamaWithBiases") : std::string("Qwen3");
});

TEST_P(HypernetworkKinds, PackedRowsEqualPaddedRows) {
  const auto packed_decoder = tiny_decoder(config(), {.attention = AttentionLayout::per_row});
  const auto padded_decoder = tiny_decoder(config(), {.attention = AttentionLayout::padded});
  const auto packed = tiny_hypernetwork(*packed_decoder);
  const auto padded = tiny_hypernetwork(*padded_decoder);
  const Batch batch = make_batch({5, 11, 1}, 3);
  EXPECT_LT(relative_error(padded->extract_memory(batch.contexts), packed->extract_memory(batch.contexts)), kRounding);
  EXPECT_LT(relative_error(loss_of(*padded, batch), loss_of(*packed, batch)), kRounding);
  expect_same_gradients(gradients_of(*padded, batch), gradients_of(*packed, batch), 2e-5);
}

TEST_P(HypernetworkKinds, RecomputationDoesNotChangeGradients) {
  const auto plain_decoder = tiny_decoder(config());
  const auto saving_decoder = tiny_decoder(config(), {.recompute = true});
  HypernetworkOptions options = tiny_options();
  options.extra_meta_lora_rank = 2;
  const auto plain = tiny_hypernetwork(*plain_decoder, options);
  options.recompute = true;
  const auto saving = tiny_hypernetwork(*saving_decoder, options);
  const Batch batch = make_batch({5, 11, 1}, 3);
  EXPECT_TRUE(at::equal(loss_of(*saving, batch), loss_of(*plain, batch)));
  expect_same_gradients(gradients_of(*saving, batch), gradients_of(*plain, batch), 1e-6);
}

TEST_P(HypernetworkKinds, TheGraphedFormOfTheM2pChangesNothing) {
  const auto decoder = tiny_decoder(config());
  HypernetworkOptions options = tiny_options();
  const auto plain = tiny_hypernetwork(*decoder, options);
  options.config.cuda_graph = CudaGraph::on;
  const auto graphed = tiny_hypernetwork(*decoder, options);
  for (const Hypernetwork* each : {plain.get(), graphed.get()})
    EXPECT_EQ(each->tensors().size(), plain->tensors().size());
  options.config.cuda_graph = CudaGraph::automatic;
  const auto automatic = tiny_hypernetwork(*decoder, options);
  for (const auto& lengths : {std::vector<std::size_t>{5, 11, 1}, {7, 3, 9}, {4}}) {
    const Batch batch = make_batch(lengths, lengths[0]);
    const auto made_by = [&](const Hypernetwork& each) {
      return each.generate(batch.contexts).vector.grad_fn()->name();
    };
    EXPECT_EQ(made_by(*graphed), "GraphedFunction");
    EXPECT_NE(made_by(*plain), "GraphedFunction");
    EXPECT_NE(made_by(*automatic), "GraphedFunction") << "a CPU gains nothing";
    EXPECT_TRUE(at::equal(loss_of(*graphed, batch), loss_of(*plain, batch)));
    const TensorMap found = gradients_of(*graphed, batch), expected = gradients_of(*plain, batch);
    for (const auto& [name, gradient] : expected) EXPECT_TRUE(at::equal(found.at(name), gradient)) << name;
    for (const Hypernetwork* each : {plain.get(), graphed.get()}) {
      const at::NoGradGuard no_grad;
      EXPECT_FALSE(each->generate(batch.contexts).vector.requires_grad());
      for (const TrainedParameter& named : each->trained()) named.tensor.mul_(0.95);
    }
  }
}

TEST_P(HypernetworkKinds, ContextsAloneEqualContextsInABatch) {
  const auto decoder = tiny_decoder(config());
  const auto hypernetwork = tiny_hypernetwork(*decoder);
  const auto rows = random_rows({5, 11, 1}, 4);
  const GeneratedLora together = hypernetwork->generate(pack(rows));
  EXPECT_EQ(together.tree.adapters(), 3);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const GeneratedLora alone = hypernetwork->generate(pack({rows[i]}));
    const auto row = static_cast<std::int64_t>(i);
    EXPECT_LT(relative_error(together.memory_states.narrow(0, row, 1), alone.memory_states), kRounding) << i;
    EXPECT_LT(relative_error(together.vector.narrow(0, row, 1), alone.vector), kRounding) << i;
  }
}

TEST_P(HypernetworkKinds, RowsUseTheLoraOfTheirOwnContext) {
  const auto decoder = tiny_decoder(config());
  const auto hypernetwork = tiny_hypernetwork(*decoder);
  const auto contexts = random_rows({5, 8}, 4), conversations = random_rows({6, 3}, 9);
  const GeneratedLora lora = hypernetwork->generate(pack(contexts));
  const at::Tensor together = decoder->forward(pack(conversations), &lora.tree);
  const GeneratedLora second = hypernetwork->generate(pack({contexts[1]}));
  const at::Tensor alone = decoder->forward(pack({conversations[1]}), &second.tree);
  EXPECT_LT(relative_error(together.narrow(0, 6, 3), alone), kRounding);
  const GeneratedLora first = hypernetwork->generate(pack({contexts[0]}));
  EXPECT_GT(relative_error(decoder->forward(pack({conversations[1]}), &first.tree), alone), 1e-4);
}

TEST(Hypernetwork, MemoryStatesAreTheLastPositionsAfterEveryLayer) {
  const auto decoder = tiny_decoder();
  const auto hypernetwork = tiny_hypernetwork(*decoder);
  const auto ids = random_ids(5, 1);
  TensorMap by_name;
  LoraTree meta;
  meta.layers.resize(2);
  for (const NamedTensor& named : hypernetwork->tensors()) by_name[named.name] = named.tensor;
  for (std::size_t layer = 0; layer < 2; ++layer) {
    for (const Projection p : kProjections) {
      const std::string name = "metalora." + std::to_string(layer) + "." + dotted_name(p);
      meta.layers[layer][p] = {by_name.at(name + ".A"), by_name.at(name + ".B"), {}};
    }
  }
  RowLayout layout;
  layout.push(5 + 29);
  std::vector<at::Tensor> expected;
  const at::Tensor input = at::cat({decoder->embed(pack({ids})), by_name.at("mem_tokens")});
  decoder->run_layers(input, layout, &meta, /*positions=*/{},
                      [&](std::int64_t, const at::Tensor& hidden) { expected.push_back(hidden.narrow(0, 5, 29)); });
  const at::Tensor found = hypernetwork->extract_memory(pack({ids}));
  EXPECT_EQ(found.sizes().vec(), (std::vector<std::int64_t>{1, 2, 29, 16}));
  EXPECT_LT(relative_error(found[0], at::stack(expected)), kRounding);
}

TEST(Hypernetwork, MeanPoolingDoublesTheMemoryNotTheVector) {
  const auto decoder = tiny_decoder();
  HypernetworkOptions options = tiny_options();
  options.config.m2p.mean_pool_size = 2;
  const auto hypernetwork = tiny_hypernetwork(*decoder, options);
  const GeneratedLora lora = hypernetwork->generate(pack(random_rows({5, 3}, 1)));
  EXPECT_EQ(lora.memory_states.sizes().vec(), (std::vector<std::int64_t>{2, 2, 58, 16}));
  EXPECT_EQ(lora.vector.sizes().vec(), (std::vector<std::int64_t>{2, 2 * 29 * 16}));
  EXPECT_EQ(hypernetwork->tensors().front().tensor.size(0), 58);
  EXPECT_EQ(hypernetwork->memory_tokens(), 58);
}

TEST(Hypernetwork, WhatALayersBlockHasBeyondItsLoraIsIgnored) {
  DecoderConfig config = tiny_config();
  config.intermediate_size = 25;  // 470 numbers a layer: 30 memory tokens, 10 numbers unused
  const auto decoder = tiny_decoder(config);
  const auto hypernetwork = tiny_hypernetwork(*decoder);
  ASSERT_EQ(hypernetwork->shape().memory_tokens, 30);
  const Batch batch = make_batch({5, 3}, 3);
  at::Tensor vector = hypernetwork->generate(batch.contexts).vector.detach().requires_grad_(true);
  ASSERT_EQ(vector.size(1), 2 * 480);
  const LoraTree tree = hypernetwork->slice(vector);
  const at::Tensor penalty = hypernetwork->used_values(vector).abs().sum();
  (decoder->losses(decoder->forward(batch.conversations, &tree), batch.labelled).mean() + penalty).backward();
  const at::Tensor gradient = vector.grad().view({2, 2, 480});
  EXPECT_EQ(gradient.narrow(2, 470, 10).abs().max().item<double>(), 0.0);
  EXPECT_GT(gradient.narrow(2, 0, 470).abs().min().item<double>(), 0.0);
  const at::Tensor used = hypernetwork->used_values(vector);
  EXPECT_TRUE(at::equal(used, vector.view({2, 2, 480}).narrow(2, 0, 470).reshape({2, 940})));
}

TEST(Hypernetwork, AnExtraMetaLoraFreezesTheFirst) {
  const auto decoder = tiny_decoder();
  const auto single = tiny_hypernetwork(*decoder);
  HypernetworkOptions options = tiny_options();
  options.extra_meta_lora_rank = 2;
  const auto twofold = tiny_hypernetwork(*decoder, options);
  const auto names = [](const auto& tensors, const std::string& prefix) {
    std::set<std::string> found;
    for (const auto& named : tensors) {
      if (named.name.starts_with(prefix)) found.insert(named.name);
    }
    return found.size();
  };
  EXPECT_EQ(names(single->trained(), "metalora."), 28U);
  EXPECT_EQ(names(single->tensors(), "extra_metalora."), 0U);
  EXPECT_EQ(names(twofold->trained(), "metalora."), 0U);
  EXPECT_EQ(names(twofold->tensors(), "metalora."), 28U);
  EXPECT_EQ(names(twofold->trained(), "extra_metalora."), 28U);
  const Batch batch = make_batch({5, 3}, 3);
  loss_of(*twofold, batch).backward();
  for (const NamedTensor& named : twofold->tensors()) {
    const bool frozen = named.name.starts_with("metalora.");
    EXPECT_EQ(named.tensor.requires_grad(), !frozen) << named.name;
    EXPECT_EQ(named.tensor.grad().defined(), !frozen) << named.name;
  }
}

TEST(Hypernetwork, AnExtraMetaLoraOfZerosChangesNothing) {
  const auto decoder = tiny_decoder();
  const auto single = tiny_hypernetwork(*decoder);
  HypernetworkOptions options = tiny_options();
  options.extra_meta_lora_rank = 2;
  Hypernetwork twofold(*decoder, options);
  twofold.initialise(1);
  RawTensorDict weights;
  for (const NamedTensor& named : twofold.tensors()) weights.emplace(named.name, to_raw(named.tensor.detach()));
  for (const NamedTensor& named : single->tensors()) weights[named.name] = to_raw(named.tensor.detach());
  twofold.load(weights, "memory");
  const TokenRows contexts = pack(random_rows({5, 3}, 1));
  EXPECT_LT(relative_error(twofold.extract_memory(contexts), single->extract_memory(contexts)), kRounding);
}

/// By their checkpoint names, each with its Decay.
TEST(Hypernetwork, SaysWhatIsTrainedAndDecayed) {
  const auto decoder = tiny_decoder(tiny_biased_config());
  HypernetworkOptions options = tiny_options();
  options.new_tokens = 2;
  const auto hypernetwork = tiny_hypernetwork(*decoder, options);
  std::map<std::string, TrainedParameter> trained;
  for (const TrainedParameter& each : hypernetwork->trained()) trained.emplace(each.name, each);
  EXPECT_EQ(trained.size(), hypernetwork->tensors().size());
  const auto expect = [&](const std::string& name, ParameterGroup group, Decay decay) {
    ASSERT_TRUE(trained.contains(name)) << name;
    EXPECT_EQ(trained.at(name).group, group) << name;
    EXPECT_EQ(trained.at(name).decay, decay) << name;
  };
  for (const char* name : {"mem_tokens", "new_token_rows", "metanetwork.layer_pe", "metanetwork.token_pe"}) {
    expect(name, ParameterGroup::m2p, Decay::published_only);
  }
  const std::string layer = "metanetwork.transformer_layers.1.";
  for (const char* name :
       {"self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight"}) {
    expect(layer + name, ParameterGroup::m2p, Decay::always);
  }
  for (const char* name : {"self_attn.in_proj_bias", "self_attn.out_proj.bias", "linear1.bias", "linear2.bias",
                           "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"}) {
    expect(layer + name, ParameterGroup::m2p, Decay::never);
  }
  expect("metalora.0.attention.q.A", ParameterGroup::meta_lora, Decay::always);
  expect("metalora.1.mlp.down.B", ParameterGroup::meta_lora, Decay::always);
  expect("metalora.1.mlp.down.C", ParameterGroup::meta_lora, Decay::published_only);
}

TEST(Hypernetwork, HasNoValuesBeforeItGetsThem) {
  const auto decoder = tiny_decoder();
  const Hypernetwork fresh(*decoder, tiny_options());
  const auto with_values = tiny_hypernetwork(*decoder);
  EXPECT_EQ(count_parameters(fresh), count_parameters(*with_values));
  const auto tensors = fresh.tensors(), expected = with_values->tensors();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(tensors[i].name, expected[i].name);
    EXPECT_EQ(tensors[i].tensor.storage().nbytes(), sizeof(float)) << expected[i].name;
  }
}

TEST(Hypernetwork, InitialiseDependsOnTheSeedAlone) {
  const auto decoder = tiny_decoder();
  HypernetworkOptions options = tiny_options();
  options.extra_meta_lora_rank = 2;
  Hypernetwork first(*decoder, options), again(*decoder, options), other(*decoder, options);
  first.initialise(3);
  again.initialise(3);
  other.initialise(4);
  const std::vector<NamedTensor> tensors = first.tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    EXPECT_TRUE(at::equal(again.tensors()[i].tensor, tensor)) << name;
    const bool drawn = name == "mem_tokens" || name.ends_with(".A") || name.ends_with("linear1.bias") ||
                       (name.ends_with("weight") && name.find("norm") == std::string::npos);
    if (drawn) {
      EXPECT_FALSE(at::equal(other.tensors()[i].tensor, tensor)) << name;
    }
    if (name.ends_with(".B")) {
      EXPECT_EQ(tensor.abs().max().item<double>(), 0.0) << name;
    }
  }
}

TEST(Hypernetwork, MetaLoraStartsWithTheStatedVariance) {
  const auto decoder = tiny_decoder();
  HypernetworkOptions options = tiny_options();
  options.config.meta_lora_rank = 64;
  options.config.meta_lora_scale = 0.04;
  Hypernetwork hypernetwork(*decoder, options);
  hypernetwork.initialise(3);
  for (const NamedTensor& named : hypernetwork.tensors()) {
    if (named.name.ends_with(".A")) {
      EXPECT_NEAR(named.tensor.std().item<double>() / 0.2, 1.0, 0.1) << named.name;
    }
  }
}

TEST(Hypernetwork, MemoryEmbeddingsStartAtZeroOrWithTheAskedSpread) {
  const auto decoder = tiny_decoder();
  for (const double spread : {0.0, 0.05}) {
    HypernetworkOptions options = tiny_options();
    options.config.memory_init_std = spread;
    Hypernetwork hypernetwork(*decoder, options);
    hypernetwork.initialise(3);
    EXPECT_NEAR(hypernetwork.tensors().front().tensor.std().item<double>(), spread, 0.1 * spread);
  }
}

TEST(Hypernetwork, NewTokenRowsStartAtTheMeanAndGetTheirOwnGradient) {
  const auto decoder = tiny_decoder();
  HypernetworkOptions options = tiny_options();
  options.new_tokens = 3;
  auto fresh = std::make_unique<Hypernetwork>(*decoder, options);
  fresh->initialise(1);
  const at::Tensor mean = decoder->parameters().front().mean(0);
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_LT(relative_error(fresh->tensors().back().tensor[i], mean), 1e-6);

  const auto hypernetwork = tiny_hypernetwork(*decoder, options);
  ASSERT_EQ(hypernetwork->trained().back().name, "new_token_rows");
  Batch batch = make_batch({5, 3}, 3);
  batch.contexts.ids[2] = 41;  // the second new row, in a context and a conversation
  batch.conversations.ids[1] = 41;
  batch.contexts.highest = batch.conversations.highest = 41;
  const TensorMap gradients = gradients_of(*hypernetwork, batch);
  const at::Tensor rows = gradients.at("new_token_rows");
  EXPECT_GT(rows[1].norm().item<double>(), 0.0);
  EXPECT_EQ(rows[0].norm().item<double>() + rows[2].norm().item<double>(), 0.0);
  EXPECT_EQ(decoder->logits(at::zeros({1, 16})).size(1), 40) << "an input only";
}

TEST(Hypernetwork, NewTokenRowsAreTrainedOnRequestOnly) {
  const auto decoder = tiny_decoder();
  HypernetworkOptions options = tiny_options();
  options.new_tokens = 3;
  options.train_new_tokens = false;
  const auto hypernetwork = tiny_hypernetwork(*decoder, options);
  EXPECT_EQ(hypernetwork->tensors().back().name, "new_token_rows") << "kept in a checkpoint all the same";
  for (const TrainedParameter& named : hypernetwork->trained()) EXPECT_NE(named.name, "new_token_rows");
  Batch batch = make_batch({5, 3}, 3);
  batch.contexts.ids[2] = 41;
  batch.contexts.highest = 41;
  loss_of(*hypernetwork, batch).backward();
  EXPECT_FALSE(hypernetwork->tensors().back().tensor.grad().defined());
}

TEST(Hypernetwork, MemoryEmbeddingsCanStayAtZero) {
  const auto decoder = tiny_decoder();
  HypernetworkOptions options = tiny_options();
  options.config.memory_init_std = 0.0;
  options.config.train_memory = false;
  Hypernetwork hypernetwork(*decoder, options);
  hypernetwork.initialise(/*seed=*/5);
  for (const TrainedParameter& named : hypernetwork.trained()) EXPECT_NE(named.name, "mem_tokens");
  const NamedTensor memory = hypernetwork.tensors().front();
  ASSERT_EQ(memory.name, "mem_tokens") << "kept in a checkpoint all the same";
  loss_of(hypernetwork, make_batch({5, 3}, 3)).backward();
  EXPECT_FALSE(memory.tensor.grad().defined());
  EXPECT_EQ(memory.tensor.norm().item<double>(), 0.0);
}

RawTensorDict raw_tensors(const Hypernetwork& hypernetwork) {
  RawTensorDict raw;
  for (const NamedTensor& named : hypernetwork.tensors()) raw.emplace(named.name, to_raw(named.tensor.detach()));
  return raw;
}

TEST(Hypernetwork, LoadCopiesAndListsAllFaults) {
  const auto decoder = tiny_decoder();
  const auto source = tiny_hypernetwork(*decoder);
  Hypernetwork loaded(*decoder, tiny_options());
  loaded.load(raw_tensors(*source), "memory");
  const std::vector<NamedTensor> tensors = loaded.tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    EXPECT_TRUE(at::equal(tensor, source->tensors()[i].tensor)) << name;
    EXPECT_NE(tensor.const_data_ptr(), source->tensors()[i].tensor.const_data_ptr()) << name;
    EXPECT_TRUE(tensor.requires_grad() && tensor.is_leaf()) << name;
  }
  RawTensorDict broken = raw_tensors(*source);
  broken.erase("mem_tokens");
  broken.emplace("metalora.9.mlp.up.A", broken.begin()->second);
  broken["metanetwork.layer_pe"] = broken["metanetwork.token_pe"];
  try {
    loaded.load(broken, "some/folder");
    FAIL() << "loaded";
  } catch (const ShapeError& error) {
    const std::string text = error.what();
    for (const char* part : {"some/folder", "1 missing: mem_tokens", "1 unexpected: metalora.9.mlp.up.A",
                             "metanetwork.layer_pe expected (2, 16) found (29, 16)"}) {
      EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
    }
  }
}

TEST(Hypernetwork, ACheckpointWithoutNewRowsGivesTheMean) {
  const auto decoder = tiny_decoder();
  const auto source = tiny_hypernetwork(*decoder);
  HypernetworkOptions options = tiny_options();
  options.new_tokens = 2;
  Hypernetwork loaded(*decoder, options);
  loaded.load(raw_tensors(*source), "memory");
  EXPECT_LT(relative_error(decoder->new_token_rows()[1], decoder->mean_embedding()), 1e-6);
  EXPECT_TRUE(decoder->new_token_rows().requires_grad());
  RawTensorDict with_rows = raw_tensors(loaded);
  with_rows["new_token_rows"] = to_raw(random_tensor({2, 16}, 8));
  loaded.load(with_rows, "memory");
  EXPECT_TRUE(at::equal(decoder->new_token_rows(), random_tensor({2, 16}, 8)));
}

TEST(PublishedCheckpoint, HasThisProjectsNames) {
  const auto fixture = golden_dir() / "fixtures" / "extra_metalora_6";
  const DecoderConfig config = read_decoder_config(fixture / "backbone" / "config.json");
  Decoder decoder(config, {});
  load_decoder(decoder, fixture / "backbone");
  const RawTensorDict tensors = read_published_checkpoint(fixture / "checkpoint");
  EXPECT_EQ(tensors.at("mem_tokens").shape[1], config.hidden_size);
  EXPECT_EQ(tensors.at("metanetwork.layer_pe").shape, (std::vector<std::int64_t>{config.layers, config.hidden_size}));
  EXPECT_EQ(tensors.at("metalora.0.attention.q.A").shape[1], config.hidden_size);
  EXPECT_EQ(tensors.at("extra_metalora.1.mlp.down.B").shape[2], config.hidden_size);
  EXPECT_EQ(read_published_checkpoint(golden_dir() / "fixtures" / "base_0" / "checkpoint")
                .count("extra_metalora.0.attention.q.A"),
            0U);
  EXPECT_THROW(read_published_checkpoint(fixture / "backbone"), IoError);
}

TEST(Hypernetwork, ItsProductsHaveTheTypeOfTheKeyOrOfTheBackbone) {
  const at::Tensor states = random_tensor({2, 2, 29, 16}, 3);
  const auto vector = [&](at::ScalarType backbone, WeightDtype dtype) {
    const auto decoder = tiny_decoder(tiny_config(), {.dtype = backbone});
    HypernetworkOptions options = tiny_options();
    options.config.dtype = dtype;
    return tiny_hypernetwork(*decoder, options)->generate_vector(states).detach();
  };
  const at::Tensor wide = vector(at::kFloat, WeightDtype::automatic);
  const at::Tensor narrow = vector(at::kBFloat16, WeightDtype::automatic);
  EXPECT_TRUE(at::equal(vector(at::kBFloat16, WeightDtype::float32), wide));
  EXPECT_TRUE(at::equal(vector(at::kFloat, WeightDtype::bfloat16), narrow));
  EXPECT_GT(relative_error(narrow, wide), 1e-4);
  EXPECT_LT(relative_error(narrow, wide), 0.03);
}

}  // namespace
}  // namespace shine::test
