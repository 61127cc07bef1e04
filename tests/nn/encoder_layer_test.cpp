// Oracle: torch.nn.TransformerEncoderLayer, see scripts/fixtures/make_encoder_golden.py.
#include "shine/nn/encoder_layer.h"

#include "kernels/fused.h"
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

EncoderLayer load_layer(const Golden& golden) {
  EncoderLayer layer(EncoderLayerOptions{.width = kWidth, .heads = kHeads, .feedforward = kFeedforward});
  RawTensorDict source;
  for (const std::string& name : golden.file.names()) {
    if (name.starts_with("weights.")) source[name.substr(8)] = golden.file.tensor(name);
  }
  load_parameters(*layer, source, float64(), "golden");
  return layer;
}

/// With the fused form, where the processor runs it, and with the readable one.
class EncoderGolden : public testing::TestWithParam<std::tuple<bool, bool, FusedOps>> {};

TEST_P(EncoderGolden, OutputAndEveryGradient) {
  const auto [masked, recompute, form] = GetParam();
  const FusedOpsGuard guard(form);
  const Golden golden;
  const EncoderLayer layer = load_layer(golden);
  const std::string kind = masked ? "masked." : "open.";
  const at::Tensor x = leaf(golden("x"));
  const at::Tensor output = run_encoder_layer(layer, x, masked ? golden("attn_mask") : at::Tensor(), recompute);
  EXPECT_TRUE(tensors_match(output, golden(kind + "output"), 1e-12));
  (output * golden("upstream")).sum().backward();
  EXPECT_TRUE(gradients_match(x.grad(), golden(kind + "gradient.x"), 1e-11));
  for (const auto& parameter : layer->named_parameters()) {
    const std::string& name = parameter.key();
    EXPECT_TRUE(gradients_match(parameter->grad(), golden(kind + "gradient." + name), 1e-11)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(MaskAndRecompute, EncoderGolden,
                         testing::Combine(testing::Bool(), testing::Bool(),
                                          testing::Values(FusedOps::automatic, FusedOps::off)));

TEST(EncoderLayer, RecomputationChangesNothing) {
  const Golden golden;
  const EncoderLayer layer = load_layer(golden);
  const auto run = [&](bool recompute) -> TensorFunction {
    return [&, recompute](const auto& in) { return run_encoder_layer(layer, in[0], /*attn_mask=*/{}, recompute); };
  };
  EXPECT_TRUE(forms_agree(run(true), run(false), {leaf(golden("x"))}, 0.0));
  EXPECT_TRUE(gradients_match_differences(run(true), {leaf(golden("x"))}, 1e-6));
}

TEST(EncoderLayer, SequencesAreIndependent) {
  const Golden golden;
  const EncoderLayer layer = load_layer(golden);
  const at::Tensor x = golden("x");
  const at::Tensor both = run_encoder_layer(layer, x, /*attn_mask=*/{}, /*recompute=*/false);
  const at::Tensor second = run_encoder_layer(layer, x.narrow(0, 1, 1), /*attn_mask=*/{}, /*recompute=*/false);
  EXPECT_TRUE(tensors_match(second, both.narrow(0, 1, 1), 1e-13));
}

EncoderLayer fresh_layer(std::int64_t width, std::int64_t feedforward) {
  EncoderLayer layer(EncoderLayerOptions{.width = width, .heads = 1, .feedforward = feedforward});
  allocate_parameters(*layer, at::kFloat);
  const at::NoGradGuard no_grad;
  for (const at::Tensor& parameter : layer->parameters()) parameter.fill_(1e9);  // a value not drawn stays visible
  return layer;
}

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
  EncoderLayer layer = fresh_layer(width, feedforward);
  at::Generator generator = at::detail::createCPUGenerator(5);
  layer->initialise(generator);
  const double by_width = 1.0 / std::sqrt(48.0), by_feedforward = 1.0 / std::sqrt(80.0);
  expect_uniform(layer->self_attn->in_proj_weight, std::sqrt(6.0 / (4.0 * 48.0)), "in_proj");
  expect_uniform(layer->self_attn->out_proj->weight, by_width, "out_proj");
  expect_uniform(layer->linear1->weight, by_width, "linear1");
  expect_uniform(layer->linear1->bias, by_width, "linear1 bias");
  expect_uniform(layer->linear2->weight, by_feedforward, "linear2");
  expect_uniform(layer->linear2->bias, by_feedforward, "linear2 bias");
  for (const at::Tensor& zero :
       {layer->self_attn->in_proj_bias, layer->self_attn->out_proj->bias, layer->norm1->bias, layer->norm2->bias}) {
    EXPECT_TRUE(at::equal(zero, at::zeros_like(zero)));
  }
  for (const at::Tensor& one : {layer->norm1->weight, layer->norm2->weight})
    EXPECT_TRUE(at::equal(one, at::ones_like(one)));
}

TEST(EncoderLayer, EachLayerHasItsOwnDraw) {
  EncoderLayer first = fresh_layer(8, 16), second = fresh_layer(8, 16), again = fresh_layer(8, 16);
  at::Generator generator = at::detail::createCPUGenerator(5), same = at::detail::createCPUGenerator(5);
  first->initialise(generator);
  second->initialise(generator);
  again->initialise(same);
  const auto x = named_tensors(*first), y = named_tensors(*second), z = named_tensors(*again);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto& [name, values] = x[i];
    EXPECT_TRUE(at::equal(values, z[i].tensor)) << name;
    const bool constant = values.dim() == 1 && !name.starts_with("linear");
    EXPECT_EQ(at::equal(values, y[i].tensor), constant) << name;
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
