#include "ops/graphed_function.h"

#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops/recompute.h"
#include "ops/replayed_work.h"
#include "shine/common/error.h"
#include "support/tensor_match.h"

namespace shine::test {
namespace {

using Tensors = GraphedFunction::Tensors;

/// Not linear in x nor in the first two parameters, which it takes twice; the third has no part in it.
at::Tensor formula(const at::Tensor& x, const Tensors& in) {
  const at::Tensor y = x.mm(in[0]).tanh();
  return at::softmax(y * in[1], -1) * y.mm(in[0].t()).sum(-1, true) + in[1];
}

at::Tensor kept_formula(const at::Tensor& x, const Tensors& in) {
  const auto again = [parameters = in](const Tensors& all) { return formula(all[0], parameters); };
  return recompute(again, {x}, {in[0], in[1]});
}

using Formula = std::function<at::Tensor(const at::Tensor& x, const Tensors& parameters)>;

/// A formula as a graphed function of the parameters that the last call was given.
class GraphedFormula {
 public:
  GraphedFormula(Formula formula, GraphedFunction::Capturer capturer)
      : graphed_([formula, parameters = parameters_](const at::Tensor& x) { return formula(x, *parameters); },
                 [formula, parameters = parameters_] { return replica_of(formula, *parameters); },
                 std::move(capturer)) {}

  at::Tensor operator()(const at::Tensor& x, const Tensors& parameters) {
    *parameters_ = parameters;
    return graphed_(x, parameters);
  }
  std::size_t captured() const { return graphed_.captured(); }

 private:
  static GraphedFunction::Replica replica_of(const Formula& formula, const Tensors& parameters) {
    Tensors own;
    for (const at::Tensor& each : parameters) own.push_back(each.detach().requires_grad_(each.requires_grad()));
    return {[formula, own](const at::Tensor& x) { return formula(x, own); }, own};
  }

  std::shared_ptr<Tensors> parameters_ = std::make_shared<Tensors>();
  GraphedFunction graphed_;
};

Tensors parameters_of(at::ScalarType type = at::kDouble) {
  return {random_leaf({4, 3}, type, 2), random_leaf({3}, type, 3), random_leaf({5}, type, 4)};
}

at::Tensor input_of(std::int64_t rows, std::uint64_t seed, at::ScalarType type = at::kDouble) {
  return random_leaf({rows, 4}, type, 10 + seed);
}

struct Pass {
  at::Tensor output;
  Tensors gradients;  ///< by input and parameters
};

bool same(const at::Tensor& found, const at::Tensor& expected) {
  return found.defined() == expected.defined() && (!found.defined() || at::equal(found, expected));
}

testing::AssertionResult same_pass(const Pass& found, const Pass& expected) {
  if (!same(found.output, expected.output)) return testing::AssertionFailure() << "outputs differ";
  for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
    if (!same(found.gradients[i], expected.gradients[i])) return testing::AssertionFailure() << "gradient " << i;
  }
  return testing::AssertionSuccess();
}

/// Gradients of sum(output * upstream), copied.
Tensors backward_of(const at::Tensor& output, const at::Tensor& input, const Tensors& parameters) {
  Tensors wanted, all{input};
  all.insert(all.end(), parameters.begin(), parameters.end());
  for (const at::Tensor& tensor : all) {
    if (tensor.requires_grad()) wanted.push_back(tensor);
  }
  const auto found = torch::autograd::grad({output}, wanted, {upstream_of(output)}, std::nullopt, false, true);
  Tensors gradients;
  auto next = found.begin();
  for (const at::Tensor& tensor : all) {
    const at::Tensor gradient = tensor.requires_grad() ? *next++ : at::Tensor();
    gradients.push_back(gradient.defined() ? gradient.clone() : gradient);
  }
  return gradients;
}

template <class F>
Pass pass_of(F&& function, const at::Tensor& input, const Tensors& parameters) {
  const at::Tensor output = function(input, parameters);
  return {output.detach().clone(), backward_of(output, input, parameters)};
}

/// As a CPU runs it, and as a GPU does, replayed.
class GraphedFunctions : public testing::TestWithParam<bool> {
 protected:
  GraphedFormula captured(Formula function = formula) {
    const auto counted = [this, function = std::move(function)](const at::Tensor& x, const Tensors& in) {
      ++calls_;
      return function(x, in);
    };
    return GraphedFormula(counted, replayed() ? replay_on_cpu : GraphedFunction::capture_on_gpu);
  }
  bool replayed() const { return GetParam(); }

  int calls_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Forms, GraphedFunctions, testing::Bool(),
                         [](const auto& tested) { return tested.param ? "Replayed" : "Called"; });

TEST_P(GraphedFunctions, EveryStepHasTheBitsOfTheFunction) {
  for (const auto type : {at::kDouble, at::kFloat}) {
    for (const auto& function : {formula, kept_formula}) {
      GraphedFormula form = captured(function);
      const Tensors parameters = parameters_of(type);
      for (std::uint64_t step = 0; step < 6; ++step) {
        const at::Tensor input = input_of(step % 2 == 0 ? 6 : 2, step, type);  // two sizes by turns
        EXPECT_TRUE(same_pass(pass_of(form, input, parameters), pass_of(function, input, parameters))) << step;
        const at::NoGradGuard no_grad;
        for (const at::Tensor& parameter : parameters) parameter.mul_(0.9).add_(0.01);
      }
      EXPECT_EQ(form.captured(), 2U);
    }
  }
}

/// The last output, and its node, go when the next forward already holds the capture.
TEST_P(GraphedFunctions, AnOutputMayOutliveTheNextForward) {
  GraphedFormula form = captured();
  const Tensors parameters = parameters_of();
  at::Tensor output;
  for (std::uint64_t step = 0; step < 4; ++step) {
    const at::Tensor input = input_of(6, step);
    output = form(input, parameters);
    EXPECT_TRUE(same_pass({output, backward_of(output, input, parameters)}, pass_of(formula, input, parameters)));
  }
  EXPECT_EQ(form.captured(), 1U);
}

TEST_P(GraphedFunctions, ACaptureCallsTheFunctionNoMore) {
  GraphedFormula form = captured();
  const Tensors parameters = parameters_of();
  pass_of(form, input_of(6, 1), parameters);
  calls_ = 0;
  for (std::uint64_t step = 2; step < 5; ++step) pass_of(form, input_of(6, step), parameters);
  EXPECT_EQ(calls_, replayed() ? 0 : 3);
}

TEST_P(GraphedFunctions, SizesBeyondTheMostAreCalled) {
  GraphedFormula form = captured();
  const Tensors parameters = parameters_of();
  for (std::uint64_t step = 0; step < 8; ++step) {
    const at::Tensor input = input_of(1 + static_cast<std::int64_t>(step % 4), step);
    EXPECT_TRUE(same_pass(pass_of(form, input, parameters), pass_of(formula, input, parameters))) << step;
  }
  EXPECT_EQ(form.captured(), GraphedFunction::kMostCaptures);
}

TEST_P(GraphedFunctions, AForwardBeforeTheOthersBackwardDoesNotDisturbIt) {
  const Tensors parameters = parameters_of();
  const at::Tensor first = input_of(6, 1), second = input_of(6, 2);
  const Pass expected_first = pass_of(formula, first, parameters),
             expected_second = pass_of(formula, second, parameters);
  for (const bool first_comes_first : {true, false}) {
    GraphedFormula form = captured();
    pass_of(form, input_of(6, 3), parameters);
    const at::Tensor one = form(first, parameters), two = form(second, parameters);
    Tensors by_one, by_two;
    if (first_comes_first) by_one = backward_of(one, first, parameters);
    by_two = backward_of(two, second, parameters);
    if (!first_comes_first) by_one = backward_of(one, first, parameters);
    EXPECT_TRUE(same_pass({one, by_one}, expected_first));
    EXPECT_TRUE(same_pass({two, by_two}, expected_second));
    EXPECT_EQ(form.captured(), 1U);
  }
}

TEST_P(GraphedFunctions, ADroppedForwardLeavesTheCaptureFree) {
  GraphedFormula form = captured();
  const Tensors parameters = parameters_of();
  const at::Tensor input = input_of(6, 1);
  { const at::Tensor dropped = form(input_of(6, 2), parameters); }
  calls_ = 0;
  EXPECT_TRUE(same_pass(pass_of(form, input, parameters), pass_of(formula, input, parameters)));
  EXPECT_EQ(calls_, replayed() ? 0 : 1);
}

TEST_P(GraphedFunctions, WhatItGaveStaysWhatItWas) {
  GraphedFormula form = captured();
  const Tensors parameters = parameters_of();
  const at::Tensor input = input_of(6, 1), output = form(input, parameters);
  const Tensors by_input = torch::autograd::grad({output}, {input}, {upstream_of(output)});
  const at::Tensor value = output.detach().clone(), gradient = by_input[0].clone();
  pass_of(form, input_of(6, 2), parameters);
  EXPECT_TRUE(at::equal(output, value));
  EXPECT_TRUE(at::equal(by_input[0], gradient));
}

TEST_P(GraphedFunctions, GradientsAddUpOverMicroBatches) {
  for (const bool gradients_are_there : {true, false}) {
    const Tensors found = parameters_of(), expected = parameters_of();
    GraphedFormula form = captured();
    for (const Tensors& parameters : {found, expected}) {
      for (const at::Tensor& parameter : parameters) {
        if (gradients_are_there) at::Tensor(parameter).mutable_grad() = at::zeros_like(parameter.detach());
      }
    }
    for (std::uint64_t step = 0; step < 3; ++step) {
      const at::Tensor input = input_of(6, step).detach();
      (form(input, found) * static_cast<double>(step + 1)).sum().backward();
      (formula(input, expected) * static_cast<double>(step + 1)).sum().backward();
    }
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(at::equal(found[i].grad(), expected[i].grad())) << i;
    EXPECT_FALSE(found[2].grad().defined() && found[2].grad().any().item<bool>());
  }
}

TEST_P(GraphedFunctions, FrozenTensorsGetNoGradient) {
  for (const std::size_t frozen : {0, 1, 2}) {
    const Tensors parameters = parameters_of();
    const at::Tensor input = input_of(6, 1);
    (frozen == 0 ? input : parameters[frozen - 1]).requires_grad_(false);
    GraphedFormula form = captured();
    for (int step = 0; step < 2; ++step) {
      EXPECT_TRUE(same_pass(pass_of(form, input, parameters), pass_of(formula, input, parameters))) << frozen;
    }
  }
}

TEST_P(GraphedFunctions, WithoutGradientsItOnlyCalls) {
  GraphedFormula form = captured();
  const Tensors parameters = parameters_of();
  const at::Tensor input = input_of(6, 1), expected = formula(input, parameters);
  {
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::equal(form(input, parameters), expected));
  }
  {
    const c10::InferenceMode inference;
    const at::Tensor found = form(input, parameters);
    EXPECT_TRUE(at::equal(found, expected));
    EXPECT_FALSE(found.requires_grad());
  }
  EXPECT_EQ(form.captured(), 0U);
  EXPECT_EQ(calls_, 2);
  const Pass before = pass_of(form, input, parameters);
  const at::Tensor pending = form(input, parameters);
  {
    const at::NoGradGuard no_grad;
    form(input_of(6, 2), parameters);
  }
  EXPECT_TRUE(same_pass({pending, backward_of(pending, input, parameters)}, before)) << "disturbed by an evaluation";
}

TEST_P(GraphedFunctions, MovedParametersAreCapturedAnew) {
  GraphedFormula form = captured();
  Tensors parameters = parameters_of();
  pass_of(form, input_of(6, 1), parameters);
  pass_of(form, input_of(2, 1), parameters);
  at::Tensor moved = parameters[0];
  moved.set_data(moved.detach().clone() * 2.0);
  for (std::uint64_t step = 0; step < 2; ++step) {
    const at::Tensor input = input_of(6, step);
    EXPECT_TRUE(same_pass(pass_of(form, input, parameters), pass_of(formula, input, parameters))) << step;
  }
  EXPECT_EQ(form.captured(), 1U);
  parameters[1] = random_leaf({3}, at::kDouble, 77);
  const at::Tensor input = input_of(6, 5);
  EXPECT_TRUE(same_pass(pass_of(form, input, parameters), pass_of(formula, input, parameters)));
  parameters[1].requires_grad_(false);
  EXPECT_TRUE(same_pass(pass_of(form, input, parameters), pass_of(formula, input, parameters)));
}

TEST_P(GraphedFunctions, ARetainedGraphKeepsTheCapture) {
  GraphedFormula form = captured();
  const Tensors parameters = parameters_of();
  const at::Tensor input = input_of(6, 1);
  const at::Tensor loss = form(input, parameters).sum();
  loss.backward({}, /*retain_graph=*/true);
  const at::Tensor once = parameters[0].grad().clone();
  const at::Tensor other = form(input_of(6, 2), parameters);  // called: the capture is taken
  loss.backward();
  EXPECT_TRUE(tensors_match(parameters[0].grad(), 2.0 * once, 1e-15));
  EXPECT_THROW(loss.backward(), Error);
}

TEST_P(GraphedFunctions, GradientsOfGradientsAreRefused) {
  GraphedFormula form = captured();
  const Tensors parameters = parameters_of();
  const at::Tensor loss = form(input_of(6, 1), parameters).sum();
  EXPECT_THROW(torch::autograd::grad({loss}, {parameters[0]}, {}, std::nullopt, /*create_graph=*/true),
               UnsupportedError);
}

TEST_P(GraphedFunctions, NoticesAParameterThatWasChangedInPlace) {
  GraphedFormula form = captured();
  const Tensors parameters = parameters_of();
  const at::Tensor loss = form(input_of(6, 1), parameters).sum();
  {
    const at::NoGradGuard no_grad;
    parameters[1].add_(1.0);
  }
  EXPECT_THROW(loss.backward(), std::exception);
}

TEST_P(GraphedFunctions, AFaultOfTheFunctionIsReportedAndLeavesNothing) {
  GraphedFormula form = captured([](const at::Tensor& x, const Tensors& in) {
    SHINE_CHECK(x.size(0) == 6, ShapeError, "not six");
    return formula(x, in);
  });
  const Tensors parameters = parameters_of();
  EXPECT_THROW(form(input_of(5, 1), parameters), ShapeError);
  EXPECT_EQ(form.captured(), 0U);
  EXPECT_TRUE(same_pass(pass_of(form, input_of(6, 1), parameters), pass_of(formula, input_of(6, 1), parameters)));
}

// Captures that read what they must not, which the tests above would catch.
TEST(ReplayedWork, RepeatsTheOperationsOfTheCapture) {
  double factor = 2.0;
  const at::Tensor x = at::ones({3}, at::kDouble);
  at::Tensor y;
  const auto work = replay_on_cpu({[&] { y = (x * factor).view({3, 1}).add_(1.0).exp_(); }}, at::kCPU);
  work->run(0);
  EXPECT_TRUE(tensors_match(y, at::full({3, 1}, std::exp(3.0), at::kDouble), 1e-15));
  const at::Tensor place = y;
  factor = 5.0;  // of the host: not seen again
  x.fill_(3.0);
  work->run(0);
  EXPECT_TRUE(tensors_match(place, at::full({3, 1}, std::exp(7.0), at::kDouble), 1e-15));
}

TEST(ReplayedWork, ALaterPartReadsWhatAnEarlierOneLeft) {
  const at::Tensor x = at::ones({3}, at::kDouble);
  at::Tensor y, z;
  const auto work = replay_on_cpu({[&] { y = x * 2.0; }, [&] { z = y + 1.0; }}, at::kCPU);
  work->run(0);
  x.fill_(4.0);
  work->run(1);
  EXPECT_EQ(z[0].item<double>(), 3.0);
  work->run(0);
  work->run(1);
  EXPECT_EQ(z[0].item<double>(), 9.0);
}

TEST(ReplayedWork, RefusesToGiveTheHostAValue) {
  const at::Tensor x = at::ones({1}, at::kDouble);
  bool warm_up = true;
  const auto work = replay_on_cpu({[&] {
                                    if (!warm_up) x.item<double>();
                                    warm_up = false;
                                  }},
                                  at::kCPU);
  EXPECT_THROW(work->run(0), Error);
}

}  // namespace
}  // namespace shine::test
