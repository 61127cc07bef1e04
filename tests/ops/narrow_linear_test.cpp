#include "ops/narrow_linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "shine/common/error.h"

namespace shine::test {
namespace {

/// The nearest bfloat16, as float64.
at::Tensor rounded(const at::Tensor& x) {
  return x.to(at::kBFloat16).to(at::kDouble);
}

class NarrowLinearForm : public testing::TestWithParam<bool> {};

TEST_P(NarrowLinearForm, RoundsOperandsAndNothingElse) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({3, 5, 64}).requires_grad_(true), weight = at::randn({48, 64}).requires_grad_(true),
                   bias = GetParam() ? at::randn({48}).requires_grad_(true) : at::Tensor(), dy = at::randn({3, 5, 48});
  const at::Tensor y = narrow_linear(x, weight, bias);
  EXPECT_EQ(y.scalar_type(), at::kFloat);
  at::Tensor expected = at::matmul(rounded(x), rounded(weight).t());
  if (bias.defined()) expected = expected + bias.to(at::kDouble);
  EXPECT_TRUE(at::allclose(y.to(at::kDouble), expected, /*rtol=*/1e-6, /*atol=*/1e-4));
  EXPECT_FALSE(at::allclose(y.to(at::kDouble), y.to(at::kBFloat16).to(at::kDouble), 1e-6, 1e-4))
      << "a product in bfloat16 would be as near";

  std::vector<at::Tensor> inputs{x, weight};
  if (bias.defined()) inputs.push_back(bias);
  const auto found = torch::autograd::grad({y}, inputs, {dy});
  const at::Tensor flat = rounded(dy).view({15, 48});
  EXPECT_TRUE(at::allclose(found[0].to(at::kDouble), at::matmul(rounded(dy), rounded(weight)), 1e-6, 1e-4));
  EXPECT_TRUE(at::allclose(found[1].to(at::kDouble), flat.t().mm(rounded(x).view({15, 64})), 1e-6, 1e-4));
  EXPECT_TRUE(!bias.defined() || at::allclose(found[2], dy.sum(at::IntArrayRef{0, 1}), 1e-6, 1e-5));
}

INSTANTIATE_TEST_SUITE_P(Ops, NarrowLinearForm, testing::Bool(),
                         [](const auto& tested) { return std::string(tested.param ? "bias" : "plain"); });

TEST(NarrowLinear, RefusesWhatDoesNotFit) {
  EXPECT_THROW(narrow_linear(at::zeros({2, 3}), at::zeros({4, 5}), {}), ShapeError);
  EXPECT_THROW(narrow_linear(at::zeros({2, 3}), at::zeros({4, 3}), at::zeros({3})), ShapeError);
}

TEST(NarrowLinear, KnowsNoRows) {
  const at::Tensor weight = at::ones({4, 3}).requires_grad_(true);
  const at::Tensor y = narrow_linear(at::zeros({0, 3}), weight, {});
  EXPECT_EQ(y.sizes(), at::IntArrayRef({0, 4}));
  EXPECT_TRUE(torch::autograd::grad({y.sum()}, {weight})[0].equal(at::zeros({4, 3})));
}

}  // namespace
}  // namespace shine::test
