#include "ops/recompute.h"

#include <torch/csrc/autograd/autograd.h>

#include "support/gradient_check.h"

namespace shine::test {
namespace {

using Tensors = std::vector<at::Tensor>;

/// Not linear in any input; the third may be absent.
at::Tensor formula(const Tensors& in) {
  const at::Tensor y = (in[0].mm(in[1])).tanh();
  return in[2].defined() ? y * in[2] : y;
}

Tensors inputs_of(bool third) {
  return {random_leaf({3, 4}), random_leaf({4, 2}, at::kDouble, 2),
          third ? random_leaf({3, 2}, at::kDouble, 3) : at::Tensor()};
}

TEST(Recompute, ValuesAndGradientsAreThoseOfTheFunction) {
  const TensorFunction kept = [](const Tensors& in) { return recompute(formula, in); };
  for (const bool third : {true, false}) {
    EXPECT_TRUE(forms_agree(kept, formula, inputs_of(third), 0.0)) << third;
    EXPECT_TRUE(gradients_match_differences(kept, inputs_of(third))) << third;
  }
  Tensors frozen = inputs_of(true);
  frozen[1].requires_grad_(false);
  EXPECT_TRUE(forms_agree(kept, formula, frozen, 0.0));
}

TEST(Recompute, CallsTheFunctionAgainInTheBackwardOnly) {
  int calls = 0, calls_with_gradient = 0;
  const auto counted = [&](const Tensors& in) {
    ++calls;
    calls_with_gradient += at::GradMode::is_enabled() ? 1 : 0;
    return formula(in);
  };
  const Tensors in = inputs_of(true);
  const at::Tensor y = recompute(counted, in);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(calls_with_gradient, 0);
  y.sum().backward();
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(calls_with_gradient, 1);
}

TEST(Recompute, WithoutGradientsItOnlyCalls) {
  int calls = 0;
  const auto counted = [&](const Tensors& in) {
    ++calls;
    return formula(in);
  };
  Tensors in = inputs_of(true);
  {
    const at::NoGradGuard no_grad;
    EXPECT_FALSE(recompute(counted, in).requires_grad());
  }
  for (at::Tensor& tensor : in) tensor = tensor.detach();
  EXPECT_FALSE(recompute(counted, in).requires_grad());
  EXPECT_EQ(calls, 2);
}

TEST(Recompute, Nests) {
  int inner_calls = 0;
  const auto inner = [&](const Tensors& in) {
    ++inner_calls;
    return formula(in);
  };
  const TensorFunction nested = [&](const Tensors& in) {
    const auto outer = [&](const Tensors& again) { return recompute(inner, again).sin() * again[0].sum(); };
    return recompute(outer, in);
  };
  const TensorFunction direct = [](const Tensors& in) { return formula(in).sin() * in[0].sum(); };
  EXPECT_TRUE(forms_agree(nested, direct, inputs_of(true), 0.0));
  inner_calls = 0;
  nested(inputs_of(true)).sum().backward();
  EXPECT_EQ(inner_calls, 3);  // the outer forward, its recomputation, the inner recomputation
}

TEST(Recompute, Chains) {
  const auto step = [](const Tensors& in) { return (in[0].mm(in[1])).tanh(); };
  const TensorFunction chain = [&](const Tensors& in) {
    return recompute(step, {recompute(step, {in[0], in[1]}), in[2]});
  };
  const TensorFunction direct = [&](const Tensors& in) { return step({step({in[0], in[1]}), in[2]}); };
  EXPECT_TRUE(forms_agree(
      chain, direct, {random_leaf({3, 4}), random_leaf({4, 2}, at::kDouble, 2), random_leaf({2, 5}, at::kDouble, 3)},
      0.0));
}

TEST(Recompute, AnInputThatIsNotUsedGetsNoGradient) {
  // The second checkpoint ignores the first one's output, which then receives no gradient either.
  const at::Tensor x = random_leaf({2}), y = random_leaf({2}, at::kDouble, 2);
  const auto square = [](const Tensors& in) { return in[0] * in[0]; };
  const at::Tensor ignored = recompute(square, {x});
  const at::Tensor one = recompute(square, {x.sum()});
  const at::Tensor out = recompute(square, {y, ignored, one});
  out.sum().backward();
  EXPECT_TRUE(tensors_match(y.grad(), 2.0 * y.detach(), 1e-15));
  EXPECT_TRUE(!x.grad().defined() || x.grad().abs().max().item<double>() == 0.0);
}

TEST(Recompute, AFunctionOfNoTrainedInputGivesNoGradient) {
  const at::Tensor x = random_leaf({2}), fixed = random_tensor({2});
  const at::Tensor out = recompute([](const Tensors& in) { return in[1] * 2.0; }, {x, fixed});
  out.sum().backward();
  EXPECT_TRUE(!x.grad().defined() || x.grad().abs().max().item<double>() == 0.0);
}

TEST(Recompute, ParametersThatTheFunctionReadsByItselfGetTheirGradients) {
  const at::Tensor x = random_leaf({3, 4}), weight = random_leaf({4, 2}, at::kDouble, 2),
                   frozen = random_tensor({2}, at::kDouble, 3);
  const auto function = [=](const Tensors& in) { return in[0].mm(weight).tanh() * frozen; };
  const auto expect_same = [&](const at::Tensor& given, const Tensors& wanted) {
    const at::Tensor found = recompute(function, {given}, {weight, frozen}), expected = function({given});
    EXPECT_TRUE(at::equal(found, expected));
    const Tensors by = torch::autograd::grad({found}, wanted, {upstream_of(found)}),
                  expected_by = torch::autograd::grad({expected}, wanted, {upstream_of(expected)});
    for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(at::equal(by[i], expected_by[i])) << i;
  };
  expect_same(x, {x, weight});
  expect_same(x.detach(), {weight});
  const at::Tensor loss = recompute(function, {x}, {weight, frozen}).sum();
  {
    const at::NoGradGuard no_grad;
    weight.add_(1.0);
  }
  EXPECT_THROW(loss.backward(), std::exception) << "changed in place";
}

TEST(Recompute, TwoBackwardsNeedARetainedGraph) {
  const Tensors in = inputs_of(true);
  const at::Tensor loss = recompute(formula, in).sum();
  loss.backward({}, /*retain_graph=*/true);
  const at::Tensor once = in[0].grad().clone();
  loss.backward();
  EXPECT_TRUE(tensors_match(in[0].grad(), 2.0 * once, 1e-15));
  EXPECT_THROW(loss.backward(), std::exception);
}

TEST(Recompute, NoticesAnInputThatWasChangedInPlace) {
  const Tensors in = inputs_of(false);
  const at::Tensor x = in[0] * 1.0;
  const at::Tensor loss = recompute(formula, {x, in[1], in[2]}).sum();
  x.add_(1.0);
  EXPECT_THROW(loss.backward(), std::exception);
}

}  // namespace
}  // namespace shine::test
