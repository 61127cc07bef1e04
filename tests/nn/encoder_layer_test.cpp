// Oracle: torch.nn.TransformerEncoderLayer, see scripts/fixtures/make_encoder_golden.py.
#include "shine/nn/encoder_layer.h"

#include "shine/io/safetensors.h"
#include "support/gradient_check.h"
#include "support/paths.h"

namespace shine::test {
namespace {

constexpr std::int64_t kWidth = 12, kFeedforward = 20, kHeads = 3;

at::TensorOptions float64() {
  return at::TensorOptions().dtype(at::kDouble);
}

struct Golden {
  SafetensorsFile file{golden_dir() / "nn" / "encoder_layer.safetensors"};
  at::Tensor operator()(const std::string& name) const { return to_tensor(file.tensor(name)).clone(); }
};

/// The golden layer with trained weights; not movable, as the list points into it.
struct LoadedLayer {
  EncoderLayer layer;
  ParameterList list;

  explicit LoadedLayer(const Golden& golden) {
    layer.declare(list, "encoder.", kWidth, kFeedforward);
    RawTensorDict source;
    for (const std::string& name : golden.file.names()) {
      if (name.starts_with("weights.")) source["encoder." + name.substr(8)] = golden.file.tensor(name);
    }
    load_parameters(list, source, float64(), "golden");
    for (const ParameterSlot& slot : list.slots()) *slot.tensor = leaf(*slot.tensor);
  }
  LoadedLayer(const LoadedLayer&) = delete;
};

class EncoderGolden : public testing::TestWithParam<std::tuple<bool, bool>> {};

TEST_P(EncoderGolden, OutputAndEveryGradient) {
  const auto [masked, recompute] = GetParam();
  const Golden golden;
  const LoadedLayer loaded(golden);
  const std::string kind = masked ? "masked." : "open.";
  const at::Tensor x = leaf(golden("x"));
  const at::Tensor output =
      run_encoder_layer(loaded.layer, x, {kHeads, recompute, masked ? golden("attn_mask") : at::Tensor()});
  EXPECT_TRUE(tensors_match(output, golden(kind + "output"), 1e-12));
  (output * golden("upstream")).sum().backward();
  EXPECT_TRUE(tensors_match(x.grad(), golden(kind + "gradient.x"), 1e-11));
  for (const ParameterSlot& slot : loaded.list.slots()) {
    const std::string name = slot.name.substr(std::string("encoder.").size());
    EXPECT_TRUE(tensors_match(slot.tensor->grad(), golden(kind + "gradient." + name), 1e-11)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(MaskAndRecompute, EncoderGolden, testing::Combine(testing::Bool(), testing::Bool()));

TEST(EncoderLayer, RecomputationChangesNothing) {
  const Golden golden;
  const LoadedLayer loaded(golden);
  const auto run = [&](bool recompute) -> TensorFunction {
    return [&, recompute](const auto& in) { return run_encoder_layer(loaded.layer, in[0], {kHeads, recompute, {}}); };
  };
  EXPECT_TRUE(forms_agree(run(true), run(false), {leaf(golden("x"))}, 0.0));
  EXPECT_TRUE(gradients_match_differences(run(true), {leaf(golden("x"))}, 1e-6));
}

TEST(EncoderLayer, SequencesAreIndependent) {
  const Golden golden;
  const LoadedLayer loaded(golden);
  const at::Tensor x = golden("x");
  const at::Tensor both = run_encoder_layer(loaded.layer, x, {kHeads, false, {}});
  const at::Tensor second = run_encoder_layer(loaded.layer, x.narrow(0, 1, 1), {kHeads, false, {}});
  EXPECT_TRUE(tensors_match(second, both.narrow(0, 1, 1), 1e-13));
}

struct FreshLayer {
  EncoderLayer layer;
  ParameterList list;

  explicit FreshLayer(std::int64_t width, std::int64_t feedforward) {
    layer.declare(list, "", width, feedforward);
    list.allocate(at::TensorOptions().dtype(at::kFloat));
    for (const ParameterSlot& slot : list.slots()) slot.tensor->fill_(1e9);  // a value that is not drawn stays visible
  }
  FreshLayer(const FreshLayer&) = delete;
};

/// Uniform in [-bound, bound]: standard deviation bound / sqrt(3), nearly touching the bound.
void expect_uniform(const at::Tensor& tensor, double bound, const char* name) {
  EXPECT_LE(tensor.abs().max().item<double>(), bound * (1.0 + 1e-6)) << name;
  EXPECT_GE(tensor.abs().max().item<double>(), 0.9 * bound) << name;
  const double relative_error = 4.0 / std::sqrt(static_cast<double>(tensor.numel()));
  EXPECT_NEAR(tensor.std().item<double>(), bound / std::sqrt(3.0), bound * relative_error) << name;
  EXPECT_NEAR(tensor.mean().item<double>(), 0.0, bound * relative_error) << name;
}

TEST(EncoderLayer, InitialValuesAreThoseOfPyTorch) {
  const std::int64_t width = 48, feedforward = 80;
  const FreshLayer fresh(width, feedforward);
  at::Generator generator = at::detail::createCPUGenerator(5);
  fresh.layer.initialise(generator);
  const EncoderLayer& layer = fresh.layer;
  const double by_width = 1.0 / std::sqrt(48.0), by_feedforward = 1.0 / std::sqrt(80.0);
  expect_uniform(layer.in_proj_weight, std::sqrt(6.0 / (4.0 * 48.0)), "in_proj");
  expect_uniform(layer.out_proj_weight, by_width, "out_proj");
  expect_uniform(layer.linear1_weight, by_width, "linear1");
  expect_uniform(layer.linear1_bias, by_width, "linear1 bias");
  expect_uniform(layer.linear2_weight, by_feedforward, "linear2");
  expect_uniform(layer.linear2_bias, by_feedforward, "linear2 bias");
  for (const at::Tensor& zero : {layer.in_proj_bias, layer.out_proj_bias, layer.norm1_bias, layer.norm2_bias}) {
    EXPECT_TRUE(at::equal(zero, at::zeros_like(zero)));
  }
  for (const at::Tensor& one : {layer.norm1_weight, layer.norm2_weight})
    EXPECT_TRUE(at::equal(one, at::ones_like(one)));
}

TEST(EncoderLayer, EachLayerHasItsOwnDraw) {
  const FreshLayer first(8, 16), second(8, 16), again(8, 16);
  at::Generator generator = at::detail::createCPUGenerator(5), same = at::detail::createCPUGenerator(5);
  first.layer.initialise(generator);
  second.layer.initialise(generator);
  again.layer.initialise(same);
  for (std::size_t i = 0; i < first.list.slots().size(); ++i) {
    const ParameterSlot &x = first.list.slots()[i], &y = second.list.slots()[i], &z = again.list.slots()[i];
    EXPECT_TRUE(at::equal(*x.tensor, *z.tensor)) << x.name;
    const bool constant = x.tensor->dim() == 1 && !x.name.starts_with("linear");
    EXPECT_EQ(at::equal(*x.tensor, *y.tensor), constant) << x.name;
  }
}

TEST(FillUniform, WritesInTheTensorsOwnType) {
  at::Tensor narrow = at::full({300}, 7.0, at::TensorOptions().dtype(at::kBFloat16));
  at::Generator generator = at::detail::createCPUGenerator(5);
  fill_uniform(narrow, 0.25, generator);
  EXPECT_EQ(narrow.scalar_type(), at::kBFloat16);
  EXPECT_LE(narrow.abs().max().item<double>(), 0.25);
  EXPECT_GT(narrow.to(at::kFloat).std().item<double>(), 0.1);
}

}  // namespace
}  // namespace shine::test
