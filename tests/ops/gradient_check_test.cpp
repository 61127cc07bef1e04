// The checker itself must be able to fail.
#include "support/gradient_check.h"

#include <torch/csrc/autograd/custom_function.h>

namespace shine::test {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// y = x^2 with a backward that forgets the 2 at one element.
class WrongSquare : public torch::autograd::Function<WrongSquare> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
    context->save_for_backward({x});
    return x * x;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    at::Tensor gradient = context->get_saved_variables()[0] * gradients[0] * 2.0;
    gradient[1][2] *= 0.5;
    return {gradient};
  }
};

TEST(GradientCheck, AcceptsARightGradient) {
  const TensorFunction f = [](const auto& in) { return (in[0] * in[1]).exp(); };
  EXPECT_TRUE(gradients_match_differences(f, {random_leaf({2, 3}), random_leaf({3}, at::kDouble, 2)}));
}

TEST(GradientCheck, NamesTheInputAndTheWorstElement) {
  const TensorFunction f = [](const auto& in) { return in[0].sum() + WrongSquare::apply(in[1]); };
  const auto result = gradients_match_differences(f, {random_leaf({2}), random_leaf({2, 3})});
  EXPECT_FALSE(result);
  EXPECT_NE(std::string(result.message()).find("gradient of input 1"), std::string::npos) << result.message();
  EXPECT_NE(std::string(result.message()).find("1 of 6 elements"), std::string::npos) << result.message();
  EXPECT_NE(std::string(result.message()).find("(1, 2)"), std::string::npos) << result.message();
}

TEST(GradientCheck, RejectsMissingGradientsAndOtherTypes) {
  const TensorFunction cut = [](const auto& in) { return in[0].detach() * in[1]; };
  EXPECT_FALSE(gradients_match_differences(cut, {random_leaf({2}), random_leaf({2})}));
  const TensorFunction same = [](const auto& in) { return in[0] * 2.0; };
  EXPECT_FALSE(gradients_match_differences(same, {random_leaf({2}, at::kFloat)}));
}

TEST(TensorsMatch, FailsOnShapeValueAndNan) {
  const at::Tensor x = random_tensor({2, 3});
  EXPECT_TRUE(tensors_match(x, x, 0.0));
  EXPECT_FALSE(tensors_match(x, x.t(), 1.0));
  EXPECT_FALSE(tensors_match(x + 1e-3, x, 1e-4));
  EXPECT_FALSE(tensors_match(x, x / 0.0 * 0.0, 1e9));
  EXPECT_FALSE(tensors_match(x, at::Tensor(), 1e9));
}

TEST(GradientsMatch, SmallTensorsAreComparedAsStrictlyAsLargeOnes) {
  for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    for (const double size : {1e3, 1.0, 1e-3}) {
      const at::Tensor x = random_tensor({50, 40}, type) * size;
      EXPECT_TRUE(gradients_match(x, x, 0.0));
      EXPECT_TRUE(gradients_match(x * 1.01, x, 1e3, 2e-2)) << type << size;
      EXPECT_FALSE(gradients_match(x * 1.04, x, 1e3, 2e-2)) << type << size;
      EXPECT_FALSE(gradients_match(at::zeros_like(x), x, 1e3, 2e-2)) << type << size;
      at::Tensor one = x.clone();
      one[3][7] += 0.5 * size;
      const auto found = gradients_match(one, x, 1e3, 2e-2);
      EXPECT_NE(std::string(found.message()).find("1 of 2000 elements"), std::string::npos) << found.message();
      EXPECT_FALSE(gradients_match(x * NAN, x, 1e3, 1e3));
      EXPECT_EQ(bool(gradients_match(x * 1.01, x, 2e-3, 2e-2)), size < 1.0) << "the tolerance of values counts too";
    }
  }
}

TEST(GradientsMatch, WhatIsZeroMayHaveNoise) {
  const at::Tensor zero = at::zeros({8});
  EXPECT_TRUE(gradients_match(zero + 1e-6, zero, 1e-5));
  EXPECT_FALSE(gradients_match(zero + 4e-6, zero, 1e-5));
  EXPECT_FALSE(gradients_match(zero.to(at::kDouble) + 1e-13, zero.to(at::kDouble), 1e-12));
}

}  // namespace
}  // namespace shine::test
