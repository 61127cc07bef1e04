#include "ops/agreement.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <limits>

#include "kernels/fused.h"
#include "shine/common/error.h"

namespace shine::test {
namespace {

at::Tensor readable(const FormInputs& in) {
  return in[0].mm(in[1]).tanh() + in[2];
}

FormInputs inputs() {
  return form_inputs({{3, 4}, {4, 5}, {5}});
}

/// What the log says of `fused` beside the answer.
struct Answer {
  bool agree = false;
  std::string log;
};

Answer ask(const Form& fused, double tolerance = 1e-4) {
  testing::internal::CaptureStderr();
  Answer answer;
  answer.agree = forms_agree("a product", readable, fused, inputs(), {}, tolerance);
  answer.log = testing::internal::GetCapturedStderr();
  return answer;
}

void expect_refused(const Form& fused, const std::string& reason) {
  const Answer answer = ask(fused);
  EXPECT_FALSE(answer.agree) << reason;
  for (const std::string& part :
       {std::string("a product: the faster form "), reason, std::string("the readable form runs")}) {
    EXPECT_NE(answer.log.find(part), std::string::npos) << part << " is not in: " << answer.log;
  }
}

TEST(Agreement, OfEqualFormsIsSilent) {
  const Answer same = ask(readable);
  EXPECT_TRUE(same.agree);
  EXPECT_EQ(same.log, "");
  EXPECT_TRUE(ask([](const FormInputs& in) { return at::tanh(at::matmul(in[0], in[1])).add(in[2]); }).agree);
}

TEST(Agreement, RefusesOtherValues) {
  const auto differing = [](double by) { return [by](const FormInputs& in) { return readable(in) * (1.0 + by); }; };
  expect_refused(differing(1e-3), "differs from the readable form by 0.00");
  EXPECT_TRUE(ask(differing(1e-5)).agree) << "rounding";
  EXPECT_FALSE(ask(differing(1e-5), /*tolerance=*/1e-6).agree);
  expect_refused([](const FormInputs& in) { return readable(in).sum(1, /*keepdim=*/true); }, "the readable form");
}

TEST(Agreement, RefusesWhatIsNotANumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expect_refused([=](const FormInputs& in) { return readable(in) * nan; }, "differs from the readable form by nan");
  expect_refused(
      [=](const FormInputs& in) {
        const at::Tensor y = readable(in), one = at::zeros_like(y);
        one[0][0] = nan;
        return y + one;
      },
      "differs from the readable form by nan");
}

TEST(Agreement, RefusesWhatThrows) {
  expect_refused([](const FormInputs&) -> at::Tensor { throw ShapeError("not these sizes"); },
                 "failed: not these sizes");
  expect_refused([](const FormInputs& in) { return in[0].mm(in[0]); }, "failed: ");
}

/// The values are right: half of the gradient is missing, that of one input, or all of it.
TEST(Agreement, RefusesOtherGradients) {
  const auto half = [](const at::Tensor& x) { return x.detach() + 0.5 * (x - x.detach()); };
  expect_refused([&](const FormInputs& in) { return half(readable(in)); }, "differs from the readable form by 0.5");
  for (const std::size_t input : {0U, 1U, 2U}) {
    expect_refused(
        [&](const FormInputs& in) {
          FormInputs given = in;
          given[input] = half(in[input]);
          return readable(given);
        },
        "differs from the readable form by 0.5");
    expect_refused(
        [&](const FormInputs& in) {
          FormInputs given = in;
          given[input] = in[input].detach();
          return readable(given);
        },
        "differs from the readable form by 1");
  }
  expect_refused([](const FormInputs& in) { return readable(in).detach(); }, "the readable form runs");
}

TEST(Agreement, RefusesOtherGradientsOfParameters) {
  const at::Tensor scale = at::full({1}, 2.0).requires_grad_(true);
  const Form scaled = [&](const FormInputs& in) { return readable(in) * scale; };
  EXPECT_TRUE(forms_agree("a product", scaled, scaled, inputs(), {scale}));
  const Form detached = [&](const FormInputs& in) { return readable(in) * scale.detach(); };
  EXPECT_TRUE(forms_agree("a product", scaled, detached, inputs()));
  EXPECT_FALSE(forms_agree("a product", scaled, detached, inputs(), {scale}));
}

TEST(Agreement, RefusesOtherValuesInInferenceModeAlone) {
  expect_refused(
      [](const FormInputs& in) { return c10::InferenceMode::is_enabled() ? readable(in) * 1.001 : readable(in); },
      "differs from the readable form by 0.00");
  expect_refused(
      [](const FormInputs& in) {
        if (c10::InferenceMode::is_enabled()) throw ShapeError("not without gradients");
        return readable(in);
      },
      "failed: not without gradients");
}

/// The first question may come from any place: an evaluation, where there are no gradients, too.
TEST(Agreement, IsOfGradientsWhereverItIsAsked) {
  const Form wrong = [](const FormInputs& in) { return readable(in).detach() + 0.0 * readable(in); };
  {
    const c10::InferenceMode inference;
    EXPECT_FALSE(ask(wrong).agree);
    EXPECT_TRUE(ask(readable).agree);
    EXPECT_TRUE(c10::InferenceMode::is_enabled());
  }
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(ask(wrong).agree);
  EXPECT_TRUE(ask(readable).agree);
  EXPECT_FALSE(at::GradMode::is_enabled());
}

TEST(Agreement, RunsTheReadableFormByReferencesAndTheOtherAsItIs) {
  std::vector<bool> of_readable, of_fused;
  const auto noting = [](std::vector<bool>& all) {
    return [&all](const FormInputs& in) {
      all.push_back(use_fused_forms());
      return readable(in);
    };
  };
  EXPECT_TRUE(forms_agree("a product", noting(of_readable), noting(of_fused), inputs()));
  EXPECT_EQ(of_readable, (std::vector<bool>{false, false}));
  EXPECT_EQ(of_fused, (std::vector<bool>{true, true}));
  EXPECT_TRUE(use_fused_forms());
}

TEST(Agreement, ChangesNoInput) {
  const FormInputs given = inputs(), before = inputs();
  EXPECT_TRUE(forms_agree("a product", readable, readable, given));
  for (std::size_t i = 0; i < given.size(); ++i) {
    EXPECT_TRUE(at::equal(given[i], before[i])) << i;
    EXPECT_FALSE(given[i].requires_grad()) << i;
    EXPECT_FALSE(given[i].grad().defined()) << i;
  }
}

TEST(Agreement, DrawsFromAGeneratorOfItsOwn) {
  const at::Generator process = at::detail::getDefaultCPUGenerator();
  const at::Tensor before = process.get_state();
  EXPECT_TRUE(ask(readable).agree);
  EXPECT_TRUE(at::equal(process.get_state(), before));
  const FormInputs narrow = form_inputs({{500}}), wide = form_inputs({{500}}, 3.0);
  EXPECT_TRUE(at::equal(narrow[0] * 3.0, wide[0])) << "the same every time";
  EXPECT_NEAR(narrow[0].std().item<double>(), 1.0, 0.15);
}

}  // namespace
}  // namespace shine::test
