// The fused encoder layer on the CPU against EncoderLayer::forward (`ops.fused: off`).
#include "kernels/cpu/encoder_kernels.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/block_product.h"
#include "kernels/cpu/trained_products.h"
#include "kernels/fused.h"
#include "nn/fused_encoder_layer.h"
#include "ops/encoder_sublayers.h"
#include "shine/common/error.h"
#include "support/gradient_check.h"
#include "support/set_parameters.h"
#include "support/skip.h"

namespace shine::test {
namespace {

struct Case {
  const char* name;
  std::vector<std::int64_t> shape;  ///< of x
  std::int64_t heads, feedforward;
  bool masked = false;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"across layers", {2, 5, 3, 12}, 3, 20},
      {"across tokens", {4, 7, 16}, 1, 6},
      {"masked", {3, 9, 24}, 2, 34, true},
      {"masked across layers", {2, 6, 3, 8}, 2, 8, true},
      {"one row in a sequence", {3, 1, 8}, 2, 10},
      {"one sequence", {1, 21, 1, 32}, 4, 64},
      {"several blocks", {2, 35, 3, 48}, 2, 70},
      {"rows as 65", {1, 65, 20}, 2, 40},
      {"of the layers of a size", {1, 8, 19, 64}, 1, 128},
  };
  return all;
}

at::Tensor mask_of(const Case& tested) {
  if (!tested.masked) return {};
  const std::int64_t length = tested.shape[1];
  at::Tensor attn_mask = random_tensor({length, length}, at::kFloat, 77).gt(0.3);
  attn_mask.diagonal().fill_(false);
  return attn_mask;
}

/// x and the twelve parameters of EncoderLayer in their order, all leaves.
std::vector<at::Tensor> inputs_of(const Case& tested, at::ScalarType type) {
  const std::int64_t d = tested.shape.back(), ff = tested.feedforward;
  const std::vector<std::vector<std::int64_t>> shapes{{3 * d, d}, {3 * d}, {d, d}, {d}, {ff, d}, {ff},
                                                      {d, ff},    {d},     {d},    {d}, {d},     {d}};
  std::vector<at::Tensor> inputs{leaf(random_tensor(tested.shape, type, 5))};
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const double size = shapes[i].size() == 2 ? 1.0 / std::sqrt(static_cast<double>(shapes[i][1])) : 0.3;
    at::Tensor values = random_tensor(shapes[i], type, 10 + i) * size;
    if (i == 8 || i == 10) values = values + 1.0;  // norm weights
    inputs.push_back(leaf(values));
  }
  return inputs;
}

/// The layer whose parameters are in[1], in[2], ..
EncoderLayer layer_of(const Case& tested, at::ScalarType compute, const std::vector<at::Tensor>& in) {
  EncoderLayer layer(EncoderLayerOptions{
      .width = tested.shape.back(), .heads = tested.heads, .feedforward = tested.feedforward, .compute = compute});
  set_parameters(*layer, std::span(in).subspan(1));
  return layer;
}

TensorFunction layer_function(const Case& tested, FusedOps mode, at::ScalarType compute = at::kFloat,
                              bool recompute = false) {
  return [=, attn_mask = mask_of(tested)](const std::vector<at::Tensor>& in) {
    const FusedOpsGuard guard(mode);
    return run_encoder_layer(layer_of(tested, compute, in), in[0], attn_mask, recompute);
  };
}

/// The gradient of a key bias is 0 but for rounding.
at::Tensor without_keys(std::size_t input, const at::Tensor& gradient) {
  if (input != 2) return gradient;
  const std::int64_t d = gradient.size(0) / 3;
  return at::cat({gradient.narrow(0, 0, d), gradient.narrow(0, 2 * d, d)});
}

/// Largest relative distances of values and gradients.
std::pair<double, double> distances(const TensorFunction& found, const std::vector<at::Tensor>& inputs,
                                    const TensorFunction& expected, const std::vector<at::Tensor>& expected_inputs) {
  const auto gradients = gradients_of(found, inputs), wanted = gradients_of(expected, expected_inputs);
  double largest = 0.0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    largest = std::max(largest, relative_error(without_keys(i, gradients[i]), without_keys(i, wanted[i])));
  }
  return {relative_error(found(inputs), expected(expected_inputs)), largest};
}

TEST(FusedEncoder, InFloat64ItIsTheReadableLayer) {
  if (!cpu::kernels_run(at::kDouble)) SHINE_SKIP("avx512", "no AVX-512");
  for (const Case& tested : cases()) {
    EXPECT_TRUE(forms_agree(layer_function(tested, FusedOps::automatic), layer_function(tested, FusedOps::off),
                            inputs_of(tested, at::kDouble), 1e-11))
        << tested.name;
  }
}

TEST(FusedEncoder, GradientsMatchDifferences) {
  if (!cpu::kernels_run(at::kDouble)) SHINE_SKIP("avx512", "no AVX-512");
  for (const std::size_t i : {0U, 3U}) {
    EXPECT_TRUE(gradients_match_differences(layer_function(cases()[i], FusedOps::automatic),
                                            inputs_of(cases()[i], at::kDouble), 1e-6))
        << cases()[i].name;
  }
}

TEST(FusedEncoder, InFloat32ItIsTheReadableLayerUpToRounding) {
  if (!cpu::kernels_run(at::kFloat)) SHINE_SKIP("avx512", "no AVX-512");
  for (const Case& tested : cases()) {
    const auto [value, gradient] = distances(layer_function(tested, FusedOps::automatic), inputs_of(tested, at::kFloat),
                                             layer_function(tested, FusedOps::off), inputs_of(tested, at::kDouble));
    EXPECT_LT(value, 1e-6) << tested.name;
    EXPECT_LT(gradient, 3e-6) << tested.name;
  }
}

/// bfloat16 has 8 bits: products of a few hundred terms are off by some tenths of a percent.
TEST(FusedEncoder, InBfloat16ItIsNearTheReadableLayers) {
  if (!cpu::kernels_run(at::kBFloat16)) SHINE_SKIP("avx512", "no bfloat16 instructions");
  for (const Case& tested : cases()) {
    const auto fused = layer_function(tested, FusedOps::automatic, at::kBFloat16);
    const auto narrow = inputs_of(tested, at::kFloat);
    const auto [value, gradient] =
        distances(fused, narrow, layer_function(tested, FusedOps::off), inputs_of(tested, at::kDouble));
    EXPECT_LT(value, 0.006) << tested.name;
    EXPECT_LT(gradient, 0.02) << tested.name;
    const auto [reference_value, reference_gradient] =
        distances(fused, narrow, layer_function(tested, FusedOps::off, at::kBFloat16), narrow);
    EXPECT_LT(reference_value, 0.01) << tested.name;
    EXPECT_LT(reference_gradient, 0.03) << tested.name;
    EXPECT_GT(value, 1e-4) << tested.name << ": not in bfloat16";
  }
}

TEST(FusedEncoder, OddWidthsAreLeftToTheReadableLayerInBfloat16) {
  const at::Tensor x = at::zeros({2, 3, 1, 6});
  EXPECT_FALSE(encoder_sublayers_run(x, 2, 8, at::kBFloat16));
  EXPECT_FALSE(encoder_sublayers_run(x, 3, 7, at::kBFloat16));
  EXPECT_EQ(encoder_sublayers_run(x, 2, 7, at::kFloat), cpu::kernels_run(at::kFloat));
  EXPECT_FALSE(encoder_sublayers_run(at::zeros({0, 3, 1, 6}), 2, 8, at::kFloat));
  const Case odd{"odd", {2, 3, 6}, 2, 7};
  const TensorFunction readable = [&](const std::vector<at::Tensor>& in) {
    return layer_of(odd, at::kBFloat16, in)->forward(in[0]);
  };
  EXPECT_TRUE(
      forms_agree(layer_function(odd, FusedOps::automatic, at::kBFloat16), readable, inputs_of(odd, at::kFloat), 0.0));
}

TEST(FusedEncoder, RecomputationChangesNothing) {
  for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
    for (const Case& tested : cases()) {
      EXPECT_TRUE(forms_agree(layer_function(tested, FusedOps::automatic, compute, /*recompute=*/true),
                              layer_function(tested, FusedOps::automatic, compute), inputs_of(tested, at::kFloat), 0.0))
          << tested.name;
    }
  }
}

TEST(FusedEncoder, ThreadsChangeNothing) {
  if (!cpu::kernels_run(at::kFloat)) SHINE_SKIP("avx512", "no AVX-512");
  const int before = at::get_num_threads();
  const Case tested{"large", {2, 35, 5, 48}, 2, 70};
  const auto run = layer_function(tested, FusedOps::automatic);
  const auto inputs = inputs_of(tested, at::kFloat);
  at::set_num_threads(1);
  const at::Tensor value = run(inputs);
  const auto gradients = gradients_of(run, inputs);
  for (const int threads : {2, 5}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(run(inputs), value)) << threads;
    const auto again = gradients_of(run, inputs);
    for (std::size_t i = 0; i < again.size(); ++i) EXPECT_TRUE(at::equal(again[i], gradients[i])) << threads;
  }
  at::set_num_threads(before);
}

TEST(FusedEncoder, OnlyWantedGradientsAreGiven) {
  const Case tested = cases()[0];
  std::vector<at::Tensor> inputs = inputs_of(tested, at::kFloat);
  const auto all = gradients_of(layer_function(tested, FusedOps::automatic), inputs);
  for (const std::size_t frozen : {1U, 4U, 9U, 12U}) inputs[frozen] = inputs[frozen].detach();
  const auto some = gradients_of(layer_function(tested, FusedOps::automatic), inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ(some[i].defined(), inputs[i].requires_grad()) << i;
    if (some[i].defined()) {
      EXPECT_TRUE(at::equal(some[i], all[i])) << i;
    }
  }
}

TEST(FusedEncoder, RunsWhereTheProcessorCan) {
  const Case& tested = cases()[0];
  const auto in = inputs_of(tested, at::kFloat);
  ASSERT_EQ(in[0].dim(), 4);
  const bool runs = encoder_sublayers_run(in[0], tested.heads, tested.feedforward, at::kFloat);
  EXPECT_EQ(runs, cpu::kernels_run(at::kFloat));
  if (!runs) SHINE_SKIP("avx512", "no AVX-512");
  const EncoderLayer layer = layer_of(tested, at::kFloat, in);
  const auto run = [&] { return run_encoder_layer(layer, in[0], /*attn_mask=*/{}, /*recompute=*/false); };
  EXPECT_TRUE(at::equal(run(), fused_encoder_layer(layer, in[0], /*attn_mask=*/{})));
  const FusedOpsGuard off(FusedOps::off);
  EXPECT_FALSE(at::equal(run(), fused_encoder_layer(layer, in[0], /*attn_mask=*/{}))) << "other roundings";
}

/// The fused form reads every option there is; a layer with an additional one would be unknown.
TEST(FusedEncoder, KnowsTheOptionsThatItReads) {
  EXPECT_TRUE(fused_encoder_layer_knows({.width = 8, .heads = 2, .feedforward = 12}));
  EXPECT_TRUE(fused_encoder_layer_knows(
      {.width = 8, .heads = 2, .feedforward = 12, .layer_norm_eps = 1e-3, .compute = at::kBFloat16}));
}

TEST(FusedEncoder, SizesThatDoNotFitAreRefused) {
  const Case tested = cases()[0];
  for (std::size_t i = 1; i <= 12; ++i) {
    std::vector<at::Tensor> inputs = inputs_of(tested, at::kFloat);
    std::vector<std::int64_t> sizes = inputs[i].sizes().vec();
    ++sizes.back();
    inputs[i] = at::zeros(sizes);
    if (!cpu::kernels_run(at::kFloat)) SHINE_SKIP("avx512", "no AVX-512");
    EXPECT_THROW(layer_function(tested, FusedOps::automatic)(inputs), ShapeError) << i;
  }
}

TEST(EncoderKernels, GeluIsExactToFloat32) {
  if (!cpu::kernels_run(at::kFloat)) SHINE_SKIP("avx512", "no AVX-512");
  const at::Tensor x =
      at::cat({at::linspace(-14, 14, 100001, at::kDouble), at::tensor({0.0, -0.0, 30.0, -30.0, 1e-30}, at::kDouble)})
          .to(at::kFloat);
  const std::int64_t count = x.numel();
  const at::Tensor zeros = at::zeros({count}), ones = at::ones({count});
  const at::Tensor kept = at::empty_like(x), act = at::empty_like(x), again = at::empty_like(x),
                   slope = at::empty_like(x);
  cpu::gelu_rows<float>(1, count, cpu::data<float>(x), cpu::data<float>(zeros), cpu::mutable_data<float>(kept),
                        cpu::mutable_data<float>(act));
  cpu::gelu_gradient<float>(1, count, cpu::data<float>(kept), cpu::data<float>(ones), cpu::mutable_data<float>(again),
                            cpu::mutable_data<float>(slope));
  const at::Tensor exact = x.to(at::kDouble);
  const at::Tensor share = at::special_erfc(exact / -std::sqrt(2.0)) / 2, expected = exact * share;
  const at::Tensor expected_slope = share + exact * (exact.square() / -2).exp() / std::sqrt(2 * M_PI);
  EXPECT_TRUE(at::equal(kept, x));
  EXPECT_TRUE(at::equal(act, again));
  EXPECT_LT(((act.to(at::kDouble) - expected).abs() / (expected.abs() + 1)).max().item<double>(), 1.5e-7);
  EXPECT_LT((slope.to(at::kDouble) - expected_slope).abs().max().item<double>(), 3e-7);
  // Small shares keep their digits, where 1 + erf would have lost them.
  const at::Tensor left = exact.lt(-1).logical_and(exact.gt(-8));
  EXPECT_LT(((act.to(at::kDouble) - expected) / expected).abs().masked_select(left).max().item<double>(), 5e-6);
}

TEST(EncoderKernels, TransposesOfAllSizes) {
  if (!cpu::kernels_run(at::kFloat)) SHINE_SKIP("avx512", "no AVX-512");
  for (const std::int64_t m : {1, 2, 15, 16, 17, 33, 64}) {
    for (const std::int64_t n : {2, 4, 16, 18, 32, 34, 66}) {
      const std::int64_t pitch = n + 6, padded = m + 3;
      const at::Tensor whole = random_tensor({m, pitch}, at::kFloat, 3), from = whole.narrow(1, 0, n);
      at::Tensor left = at::full({n, padded}, 7.0F), right = at::full({n, m}, 7.0F);
      cpu::transpose_left<float>(m, n, cpu::data<float>(whole), pitch, cpu::mutable_data<float>(left), padded);
      cpu::transpose_right<float>(m, n, cpu::data<float>(whole), pitch, cpu::mutable_data<float>(right), m);
      EXPECT_TRUE(at::equal(left, at::constant_pad_nd(from.t(), {0, 3}))) << m << " " << n;
      EXPECT_TRUE(at::equal(right, from.t())) << m << " " << n;
      const at::Tensor narrow = whole.to(at::kBFloat16);
      at::Tensor narrow_left = at::full({n, padded}, 7.0, at::kBFloat16);
      at::Tensor pairs = at::full({n / 2, m, 2}, 7.0, at::kBFloat16);
      cpu::transpose_left<cpu::Bf16>(m, n, cpu::data<cpu::Bf16>(narrow), pitch,
                                     cpu::mutable_data<cpu::Bf16>(narrow_left), padded);
      cpu::transpose_right<cpu::Bf16>(m, n, cpu::data<cpu::Bf16>(narrow), pitch, cpu::mutable_data<cpu::Bf16>(pairs),
                                      m);
      const at::Tensor expected = narrow.narrow(1, 0, n).t();
      EXPECT_TRUE(at::equal(narrow_left, at::constant_pad_nd(expected, {0, 3}))) << m << " " << n;
      EXPECT_TRUE(at::equal(pairs, expected.reshape({n / 2, 2, m}).transpose(1, 2))) << m << " " << n;
    }
  }
}

TEST(TrainedProducts, LongInnerDimensionsAreSummedInParts) {
  if (!cpu::kernels_run(at::kBFloat16)) SHINE_SKIP("avx512", "no bfloat16 instructions");
  const std::int64_t rows = 2051, out = 70, in = 12;
  const at::Tensor dy = random_tensor({rows, out}, at::kFloat, 1), x = random_tensor({rows, in}, at::kFloat, 2);
  const auto found = cpu::weight_gradient<float>(rows, out, in, cpu::data<float>(dy), cpu::data<float>(x));
  EXPECT_LT(relative_error(found.weight, dy.to(at::kDouble).t().matmul(x.to(at::kDouble))), 1e-6);
  EXPECT_LT(relative_error(found.bias, dy.to(at::kDouble).sum(0)), 1e-6);
  const at::Tensor narrow_dy = dy.to(at::kBFloat16), narrow_x = x.to(at::kBFloat16);
  const cpu::RowOperand<cpu::Bf16> operand(rows, in, nullptr);
  for (std::int64_t first = 0; first < rows; first += 64) {
    operand.set(first, std::min<std::int64_t>(64, rows - first), cpu::data<cpu::Bf16>(narrow_x) + first * in);
  }
  const auto narrow = cpu::weight_gradient<cpu::Bf16>(rows, out, in, cpu::data<cpu::Bf16>(narrow_dy), operand.data());
  EXPECT_LT(relative_error(narrow.weight, narrow_dy.to(at::kDouble).t().matmul(narrow_x.to(at::kDouble))), 1e-6);
}

}  // namespace
}  // namespace shine::test
