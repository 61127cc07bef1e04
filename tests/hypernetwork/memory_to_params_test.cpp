#include "shine/hypernetwork/memory_to_params.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/linear.h>

#include <sstream>

#include "decoder/tiny_model.h"
#include "hypernetwork/graphed_m2p.h"
#include "kernels/fused.h"
#include "ops/replayed_work.h"
#include "shine/common/error.h"

namespace shine::test {
namespace {

M2pShape tiny_shape(std::int64_t memory_tokens = 29) {
  return {.spec = tiny_config().lora_spec(), .rank = 2, .hidden_size = 16, .memory_tokens = memory_tokens};
}

M2pConfig config_of(M2pKind kind) {
  M2pConfig config = tiny_options().config.m2p;
  config.kind = kind;
  config.linear_hidden = 12;
  return config;
}

std::shared_ptr<MemoryToParams> make(const M2pConfig& config, const M2pShape& shape,
                                     at::ScalarType compute = at::kFloat) {
  auto network = make_memory_to_params(config, shape, /*recompute=*/false, compute);
  std::uint64_t seed = 40;
  for (const at::Tensor& parameter : network->parameters()) {
    set_values(parameter, random_tensor(parameter.sizes().vec(), ++seed) * 0.3);
  }
  return network;
}

using Forward = std::function<at::Tensor(const at::Tensor& states)>;

/// One training pass: the vector, then the gradients of the states and of all parameters.
/// @param forward  of `network`, in any form
std::vector<at::Tensor> train_once(const MemoryToParams& network, const Forward& forward, const at::Tensor& states) {
  std::vector<at::Tensor> wanted = network.parameters();
  wanted.insert(wanted.begin(), states.detach().clone().requires_grad_(true));
  const at::Tensor vector = forward(wanted[0]);
  std::vector<at::Tensor> found{vector.detach().clone()};
  for (const at::Tensor& gradient : torch::autograd::grad({vector.square().sum()}, wanted)) {
    found.push_back(gradient.clone());
  }
  return found;
}

class M2pKinds : public testing::TestWithParam<M2pKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, M2pKinds, testing::Values(M2pKind::transformer, M2pKind::linear, M2pKind::lineargate),
                         [](const auto& tested) {
                           return std::string(config_names(M2pKind{})[static_cast<std::size_t>(tested.param)]);
                         });

TEST_P(M2pKinds, MeanPoolingAveragesTokensThatAreMemoryTokensApart) {
  // The same network once with pooling over 2 x 29 tokens, once without it over 58 tokens.
  M2pConfig pooled = config_of(GetParam());
  pooled.mean_pool_size = 2;
  const at::Tensor states = random_tensor({3, 2, 58, 16}, 1);
  const at::Tensor found = make(pooled, tiny_shape())->forward(states);
  ASSERT_EQ(found.sizes().vec(), (std::vector<std::int64_t>{3, 2 * 29 * 16}));

  const at::Tensor all = make(config_of(GetParam()), tiny_shape(58))->forward(states).view({3, 2, 58, 16});
  at::Tensor expected = at::zeros({3, 2, 29, 16});
  for (std::int64_t m = 0; m < 29; ++m) {
    expected.select(2, m).copy_((all.select(2, m) + all.select(2, m + 29)) / 2);
  }
  EXPECT_LT(relative_error(found, expected.view({3, -1})), 1e-6);
}

TEST_P(M2pKinds, SamplesDoNotMix) {
  const auto network = make(config_of(GetParam()), tiny_shape());
  const at::Tensor states = random_tensor({3, 2, 29, 16}, 1);
  const at::Tensor together = network->forward(states);
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_LT(relative_error(together.narrow(0, i, 1), network->forward(states.narrow(0, i, 1))), 1e-6);
  }
}

TEST_P(M2pKinds, ProductsInBfloat16AreNearThoseInFloat32) {
  M2pConfig config = config_of(GetParam());
  config.couple_layers = GetParam() == M2pKind::transformer ? 1 : 0;
  config.linear_bias = true;
  const auto shape = M2pShape::of(tiny_config().lora_spec(), /*rank=*/16,
                                  /*hidden_size=*/16);  // couple layers need whole tokens of 16
  const at::Tensor states = random_tensor({2, 2, 232, 16}, 1);
  const at::Tensor wide = make(config, shape)->forward(states);
  const at::Tensor narrow = make(config, shape, at::kBFloat16)->forward(states);
  EXPECT_EQ(narrow.scalar_type(), at::kFloat);
  const double error = relative_error(narrow, wide);
  EXPECT_LT(error, 0.03);
  EXPECT_GT(error, 1e-4) << "not in bfloat16";
}

/// Fused on the CPU or not, whichever layers come first.
TEST(M2pTransformer, TheFusedLayersAreTheReadableOnes) {
  for (const bool layers_first : {true, false}) {
    M2pConfig config = config_of(M2pKind::transformer);
    config.num_layers = 3;
    config.layers_first = layers_first;
    const auto network = make(config, tiny_shape());
    const at::Tensor states = random_tensor({3, 2, 29, 16}, 1);
    const at::Tensor found = network->forward(states);
    const FusedOpsGuard readable(FusedOps::off);
    EXPECT_LT(relative_error(found, network->forward(states)), 2e-6);
  }
}

/// Training steps of two numbers of contexts by turns, the parameters changed and the network evaluated between them.
/// Replayed: LibTorch operations only, as on a GPU; called: the CPU backend too.
void expect_graphed_bits(const M2pConfig& config, const M2pShape& shape, at::ScalarType compute, bool recompute,
                         bool replayed) {
  const FusedOpsGuard mode(replayed ? FusedOps::off : FusedOps::automatic);
  const auto plain = make(config, shape, compute), captured = make(config, shape, compute);
  GraphedM2p graphed(
      captured, [&] { return make_memory_to_params(config, shape, recompute, compute); },
      replayed ? replay_on_cpu : GraphedFunction::capture_on_gpu);
  const Forward called = [&](const at::Tensor& states) { return plain->forward(states); };
  const Forward replay = [&](const at::Tensor& states) { return graphed.forward(states); };
  for (std::uint64_t step = 0; step < 4; ++step) {
    const std::int64_t contexts = step % 2 == 0 ? 2 : 1;
    const at::Tensor states = random_tensor({contexts, 2, shape.tokens_read(config), 16}, step + 1);
    const auto found = train_once(*captured, replay, states), expected = train_once(*plain, called, states);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(at::equal(found[i], expected[i])) << "step " << step << ", tensor " << i;
    }
    EXPECT_GT(expected[1].abs().max().item<double>(), 0.0);
    const at::NoGradGuard no_grad;
    for (const auto& network : {plain, captured}) {
      for (const at::Tensor& parameter : network->parameters()) parameter.mul_(0.95);
    }
    EXPECT_TRUE(at::equal(graphed.forward(states), plain->forward(states)));
  }
}

TEST_P(M2pKinds, GraphedPassesHaveTheBitsOfCalledOnes) {
  M2pConfig config = config_of(GetParam());
  config.mean_pool_size = 2;
  config.linear_bias = true;
  for (const bool replayed : {true, false}) {
    for (const bool recompute : {false, true}) {
      for (const auto compute : {at::kFloat, at::kBFloat16}) {
        expect_graphed_bits(config, tiny_shape(), compute, recompute, replayed);
      }
    }
  }
}

TEST(M2pTransformer, GraphedPassesOfCoupleLayersToo) {
  M2pConfig config = config_of(M2pKind::transformer);
  config.num_layers = 1;
  config.couple_layers = 1;
  const auto shape = M2pShape::of(tiny_config().lora_spec(), /*rank=*/16,
                                  /*hidden_size=*/16);  // couple layers need whole tokens of 16
  expect_graphed_bits(config, shape, at::kFloat, /*recompute=*/true, /*replayed=*/true);
}

/// With couple layers, whose mask stays what it is.
TEST(M2pTransformer, ConvertsSwitchesAndPrintsAsALibTorchModule) {
  M2pConfig config = config_of(M2pKind::transformer);
  config.couple_layers = 1;
  M2pShape shape = tiny_shape();
  shape.rank = 16;
  shape.memory_tokens = 232;
  const auto network = make(config, shape);
  const at::Tensor states = random_tensor({2, 2, 232, 16}, 1);
  const at::Tensor expected = network->forward(states);
  network->to(at::kDouble);
  const at::Tensor wide = network->forward(states.to(at::kDouble));
  EXPECT_EQ(wide.scalar_type(), at::kDouble);
  EXPECT_LT(relative_error(expected, wide), 1e-5);
  network->to(at::kFloat);
  EXPECT_TRUE(at::equal(network->forward(states), expected)) << "float32 fits into float64";

  network->eval();
  for (const auto& part : network->modules()) EXPECT_FALSE(part->is_training()) << part->name();
  network->train();
  for (const auto& part : network->modules()) EXPECT_TRUE(part->is_training()) << part->name();
  std::ostringstream printed;
  printed << *network;
  EXPECT_NE(printed.str().find("(couple_layers): torch::nn::ModuleList("), std::string::npos) << printed.str();
}

/// What is captured would draw the same numbers every time.
TEST_P(M2pKinds, DrawsNoRandomNumbers) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const at::Tensor before = generator.get_state();
  for (const auto compute : {at::kFloat, at::kBFloat16}) {
    const auto network = make(config_of(GetParam()), tiny_shape(), compute);
    train_once(
        *network, [&](const at::Tensor& states) { return network->forward(states); }, random_tensor({2, 2, 29, 16}, 1));
  }
  EXPECT_TRUE(at::equal(generator.get_state(), before));
}

TEST_P(M2pKinds, StatesOfAnotherShapeAreRefused) {
  const auto network = make(config_of(GetParam()), tiny_shape());
  for (const std::vector<std::int64_t>& shape : std::vector<std::vector<std::int64_t>>{
           {2, 29, 16}, {1, 3, 29, 16}, {1, 2, 28, 16}, {1, 2, 29, 15}, {1, 1, 29, 16}}) {
    EXPECT_THROW(network->forward(at::zeros(shape)), ShapeError);
  }
}

TEST_P(M2pKinds, InitialisesAsPyTorchDoesEachLayerItsOwn) {
  M2pConfig config = config_of(GetParam());
  config.linear_bias = true;
  config.num_layers = 3;
  const auto network = make(config, tiny_shape());
  at::Generator generator = at::detail::createCPUGenerator(9);
  network->initialise(generator);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] : named_tensors(*network)) tensors[name] = tensor;
  EXPECT_EQ(tensors.at("layer_pe").abs().max().item<double>(), 0.0);
  EXPECT_EQ(tensors.at("token_pe").abs().max().item<double>(), 0.0);
  const auto expect_uniform = [&](const std::string& name, double bound) {
    const double highest = tensors.at(name).abs().max().item<double>();
    EXPECT_LE(highest, bound) << name;
    EXPECT_GT(highest, 0.8 * bound) << name;
    EXPECT_NEAR(tensors.at(name).std().item<double>() * std::sqrt(3.0) / bound, 1.0, 0.4) << name;
  };
  if (GetParam() == M2pKind::transformer) {
    const std::string layer = "transformer_layers.1.";
    expect_uniform(layer + "self_attn.in_proj_weight", std::sqrt(6.0 / (48 + 16)));
    expect_uniform(layer + "self_attn.out_proj.weight", 0.25);
    expect_uniform(layer + "linear1.weight", 0.25);
    expect_uniform(layer + "linear1.bias", 0.25);
    expect_uniform(layer + "linear2.weight", 1 / std::sqrt(20.0));
    expect_uniform(layer + "linear2.bias", 1 / std::sqrt(20.0));
    for (const char* zero : {"self_attn.in_proj_bias", "self_attn.out_proj.bias", "norm1.bias", "norm2.bias"}) {
      EXPECT_EQ(tensors.at(layer + zero).abs().max().item<double>(), 0.0) << zero;
    }
    for (const char* one : {"norm1.weight", "norm2.weight"}) {
      EXPECT_TRUE(at::equal(tensors.at(layer + one), at::ones({16}))) << one;
    }
    EXPECT_FALSE(at::equal(tensors.at(layer + "linear1.weight"), tensors.at("transformer_layers.0.linear1.weight")));
  } else {
    expect_uniform("linear_layers.0.weight", 0.25);
    expect_uniform("linear_layers.1.weight", 1 / std::sqrt(12.0));
    expect_uniform("linear_layers.1.bias", 1 / std::sqrt(12.0));
  }
}

/// Made of LibTorch's own modules.
class StockM2p : public MemoryToParams {
 public:
  explicit StockM2p(bool forgetful) : forgetful_(forgetful) {
    declare_positions(M2pConfig{}, tiny_shape());
    linear_ = register_module("linear", torch::nn::Linear(16, 16));
  }

  at::Tensor forward(const at::Tensor& memory_states) const override {
    return linear_.ptr()->forward(add_positions(memory_states)).reshape({memory_states.size(0), -1});
  }

  void initialise(at::Generator& generator) override {
    initialise_positions();
    fill_uniform(linear_->weight, 0.25, generator);
    if (!forgetful_) fill_uniform(linear_->bias, 0.25, generator);
  }

 private:
  bool forgetful_;
  torch::nn::Linear linear_{nullptr};
};

TEST(MemoryToParams, MayBeMadeOfLibTorchsModules) {
  StockM2p network(/*forgetful=*/false);
  allocate_parameters(network, at::kFloat);
  at::Generator generator = at::detail::createCPUGenerator(9);
  initialise_all(network, generator);
  const at::Tensor states = random_tensor({1, 2, 29, 16}, 1);
  network.forward(states).sum().backward();
  const auto trained = trained_parameters(network, ParameterGroup::m2p, "metanetwork");
  ASSERT_EQ(trained.size(), 4U);
  for (const TrainedParameter& each : trained) {
    EXPECT_TRUE(each.tensor.grad().defined()) << each.name;
    const Decay expected = each.name == "metanetwork.linear.weight" ? Decay::always
                           : each.name == "metanetwork.linear.bias" ? Decay::never
                                                                    : Decay::published_only;
    EXPECT_EQ(each.decay, expected) << each.name;
  }
}

TEST(MemoryToParams, AParameterWithoutAFirstValueIsAnError) {
  StockM2p network(/*forgetful=*/true);
  allocate_parameters(network, at::kFloat);
  at::Generator generator = at::detail::createCPUGenerator(9);
  try {
    initialise_all(network, generator);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("metanetwork.linear.bias"), std::string::npos) << error.what();
  }
}

TEST(M2pConfig, ZerosStandForThePublishedSizes) {
  M2pShape shape = tiny_shape();
  shape.hidden_size = 256;
  const M2pConfig config = resolve_m2p_config({}, shape);
  EXPECT_EQ(config.heads, 2);
  EXPECT_EQ(config.feedforward, 512);
  EXPECT_EQ(config.couple_width, 256);
  EXPECT_EQ(config.couple_heads, 2);
  EXPECT_EQ(config.couple_feedforward, 512);
  EXPECT_EQ(resolve_m2p_config({}, tiny_shape()).heads, 1) << "at least one head";
}

TEST(M2pConfig, ListsAllSizesThatDoNotDivide) {
  M2pConfig config = config_of(M2pKind::transformer);
  config.heads = 3;
  config.couple_layers = 1;
  config.couple_width = 12;
  config.couple_heads = 5;
  try {
    resolve_m2p_config(config, tiny_shape());
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    for (const char* part : {"m2p.heads 3 does not divide the hidden size 16", "couple_heads 5", "couple_width 12",
                             "A of q 32", "B of k 16"}) {
      EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
    }
  }
}

}  // namespace
}  // namespace shine::test
