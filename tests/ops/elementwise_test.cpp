#include "kernels/torch/rms_norm.h"
#include "kernels/torch/rope.h"
#include "kernels/torch/swiglu.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"
#include "support/gradient_check.h"

namespace shine::test {
namespace {

constexpr double kEps = 1e-6;

/// bfloat16 keeps 8 bits: one rounding is 2^-9 of the value, and the forms round in different places.
double tolerance_of(at::ScalarType type) {
  if (type == at::kDouble) return 1e-12;
  return type == at::kFloat ? 1e-5 : 3e-2;
}

constexpr std::array kTypes{at::kDouble, at::kFloat, at::kBFloat16};

TensorFunction norm_form(bool fused, const at::Tensor& frozen_weight = {}) {
  return [=](const std::vector<at::Tensor>& in) {
    const at::Tensor& weight = frozen_weight.defined() ? frozen_weight : in[1];
    return fused ? rms_norm(in[0], weight, kEps) : rms_norm_reference(in[0], weight, kEps);
  };
}

TEST(RmsNorm, FormsAgree) {
  for (const auto type : kTypes) {
    for (const std::vector<std::int64_t>& sizes : {std::vector<std::int64_t>{5, 7}, {3, 2, 33}, {1, 1}, {0, 5}}) {
      const at::Tensor x = random_leaf(sizes, type), weight = random_leaf({sizes.back()}, type, 2);
      EXPECT_TRUE(forms_agree(norm_form(true), norm_form(false), {x, weight}, tolerance_of(type)))
          << type << " " << x.sizes();
      const at::Tensor frozen = weight.detach();
      EXPECT_TRUE(forms_agree(norm_form(true, frozen), norm_form(false, frozen), {x}, tolerance_of(type)))
          << "frozen weight, " << type << " " << x.sizes();
    }
  }
}

TEST(RmsNorm, GradientMatchesDifferences) {
  const at::Tensor x = random_leaf({3, 2, 5}), weight = random_leaf({5}, at::kDouble, 2);
  EXPECT_TRUE(gradients_match_differences(norm_form(true), {x, weight}));
  EXPECT_TRUE(gradients_match_differences(norm_form(true, weight.detach()), {x}));
  const at::Tensor frozen_x = x.detach();
  EXPECT_TRUE(gradients_match_differences([&](const auto& in) { return rms_norm(frozen_x, in[0], kEps); }, {weight}));
  EXPECT_TRUE(gradients_match_differences(norm_form(true), {leaf(x * 1e-3), weight}, 1e-5, 1e-7)) << "eps counts";
}

TEST(RmsNorm, ValuesByHand) {
  const at::Tensor x = at::tensor({3.0, 4.0}).to(at::kDouble).view({1, 2}),
                   weight = at::tensor({1.0, 2.0}).to(at::kDouble);
  const double root = std::sqrt(12.5 + 0.5);
  EXPECT_TRUE(
      tensors_match(rms_norm(x, weight, 0.5), at::tensor({3.0 / root, 8.0 / root}).to(at::kDouble).view({1, 2}), 1e-6));
}

TEST(RmsNorm, StatisticsOfBfloat16AreFloat32) {
  // In bfloat16 the running sum of 4096 ones would stall at 256.
  const at::Tensor x = at::ones({1, 4096}, at::kBFloat16), weight = at::ones({4096}, at::kBFloat16);
  EXPECT_TRUE(tensors_match(rms_norm(x, weight, kEps), x, 0.0));
}

TEST(Rope, FormsAgree) {
  const at::Tensor positions = at::tensor({0, 1, 2, 0, 41}, at::kLong);
  for (const auto type : kTypes) {
    for (const std::int64_t dim : {2, 6, 34}) {
      const RopeTable table = make_rope_table(positions, dim, 1e4, type);
      EXPECT_TRUE(forms_agree([&](const auto& in) { return apply_rope(in[0], table); },
                              [&](const auto& in) { return apply_rope_reference(in[0], table); },
                              {random_leaf({5, 3, dim}, type)}, tolerance_of(type)))
          << type << " " << dim;
    }
  }
}

TEST(Rope, GradientMatchesDifferences) {
  const RopeTable table = make_rope_table(at::tensor({0, 7, 3}, at::kLong), 6, 100.0, at::kDouble);
  EXPECT_TRUE(
      gradients_match_differences([&](const auto& in) { return apply_rope(in[0], table); }, {random_leaf({3, 2, 6})}));
}

TEST(Rope, TurnsEveryPairByItsAngle) {
  const std::int64_t position = 5, dim = 6, half = dim / 2;
  const double theta = 100.0;
  const RopeTable table = make_rope_table(at::tensor({position}, at::kLong), dim, theta, at::kFloat);
  EXPECT_EQ(table.cos.sizes(), at::IntArrayRef({1, 1, dim}));
  EXPECT_EQ(table.cos.scalar_type(), at::kFloat);
  const at::Tensor x = random_tensor({1, 1, dim}, at::kFloat), y = apply_rope(x, table);
  const auto at_index = [](const at::Tensor& t, std::int64_t i) { return t[0][0][i].item<double>(); };
  for (std::int64_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * std::pow(theta, -2.0 * static_cast<double>(i) / dim);
    const double first = at_index(x, i), second = at_index(x, i + half);
    EXPECT_NEAR(at_index(y, i), first * std::cos(angle) - second * std::sin(angle), 1e-5) << i;
    EXPECT_NEAR(at_index(y, i + half), second * std::cos(angle) + first * std::sin(angle), 1e-5) << i;
  }
}

/// The formula of Llama 3.1, in the words of its reference: by wavelengths.
TEST(Rope, ScalesFrequencies) {
  const std::int64_t dim = 16, position = 3;
  const double theta = 1000.0;
  const RopeScaling linear{RopeScaling::Kind::linear, 4.0}, llama3{RopeScaling::Kind::llama3, 8.0, 1.0, 4.0, 64};
  const auto angles = [&](const RopeScaling& scaling) {
    return make_rope_table(at::tensor({position}, at::kLong), dim, theta, at::kFloat, scaling).sin[0][0];
  };
  const at::Tensor divided = angles(linear), by_parts = angles(llama3);
  int low = 0, mixed = 0, high = 0;
  for (std::int64_t i = 0; i < dim / 2; ++i) {
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / dim), wavelength = 2 * M_PI / frequency;
    EXPECT_NEAR(divided[i].item<double>(), std::sin(position * frequency / 4), 1e-6) << i;
    double scaled = frequency;
    if (wavelength > 64 / 1.0) {
      scaled = frequency / 8;
      ++low;
    } else if (wavelength < 64 / 4.0) {
      ++high;
    } else {
      const double smooth = (64 / wavelength - 1.0) / (4.0 - 1.0);
      scaled = (1 - smooth) * frequency / 8 + smooth * frequency;
      ++mixed;
    }
    EXPECT_NEAR(by_parts[i].item<double>(), std::sin(position * scaled), 1e-6) << i;
  }
  EXPECT_GT(std::min({low, mixed, high}), 0);
}

TEST(SwiGlu, FormsAgree) {
  for (const auto type : kTypes) {
    for (const std::vector<std::int64_t>& sizes : {std::vector<std::int64_t>{3, 7}, {1}, {2, 5, 9}, {0, 4}}) {
      const at::Tensor gate = random_leaf(sizes, type), up = random_leaf(sizes, type, 2);
      EXPECT_TRUE(forms_agree([](const auto& in) { return swiglu(in[0], in[1]); },
                              [](const auto& in) { return swiglu_reference(in[0], in[1]); }, {gate, up},
                              tolerance_of(type)))
          << type << " " << gate.sizes();
    }
  }
}

/// The forms with a backward written by hand, whether the operations above take them or not.
TEST(TorchKernels, AgreeWithTheReferences) {
  for (const auto type : kTypes) {
    const RopeTable table = make_rope_table(at::tensor({0, 7, 3}, at::kLong), 6, 100.0, type);
    const at::Tensor x = random_leaf({3, 2, 6}, type), y = random_leaf({3, 2, 6}, type, 2),
                     weight = random_leaf({6}, type, 3);
    const double tolerance = tolerance_of(type);
    EXPECT_TRUE(forms_agree([](const auto& in) { return torch_kernels::swiglu(in[0], in[1]); },
                            [](const auto& in) { return swiglu_reference(in[0], in[1]); }, {x, y}, tolerance))
        << type;
    EXPECT_TRUE(forms_agree([&](const auto& in) { return torch_kernels::apply_rope(in[0], table); },
                            [&](const auto& in) { return apply_rope_reference(in[0], table); }, {x}, tolerance))
        << type;
    for (const at::Tensor& norm : {weight, weight.detach()}) {
      EXPECT_TRUE(forms_agree([](const auto& in) { return torch_kernels::rms_norm(in[0], in[1], kEps); },
                              [](const auto& in) { return rms_norm_reference(in[0], in[1], kEps); }, {x, norm},
                              tolerance))
          << type << ", trained weight " << norm.requires_grad();
      EXPECT_TRUE(forms_agree(
          [&](const auto& in) { return torch_kernels::norm_rope(in[0], in[1], table, kEps); },
          [&](const auto& in) { return apply_rope_reference(rms_norm_reference(in[0], in[1], kEps), table); },
          {x, norm}, tolerance))
          << type << ", trained weight " << norm.requires_grad();
    }
  }
}

TEST(SwiGlu, GradientMatchesDifferences) {
  const TensorFunction f = [](const auto& in) { return swiglu(in[0], in[1]); };
  EXPECT_TRUE(gradients_match_differences(f, {random_leaf({3, 5}), random_leaf({3, 5}, at::kDouble, 2)}));
  EXPECT_TRUE(gradients_match_differences(f, {random_leaf({3, 5}), random_tensor({3, 5}, at::kDouble, 2)}));
}

}  // namespace
}  // namespace shine::test
