#include "support/tensor_match.h"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <string>

#include "shine/common/str.h"

namespace shine::test {
namespace {

/// Index of flat element `flat` of a tensor of these sizes, as "(2, 0)".
std::string index_text(at::IntArrayRef sizes, std::int64_t flat) {
  std::vector<std::int64_t> index(sizes.size());
  for (std::size_t i = sizes.size(); i-- > 0;) {
    index[i] = flat % sizes[i];
    flat /= sizes[i];
  }
  return str("(", join(index, ", "), ")");
}

/// Success where every element of `excess`, a difference over what it may grow with, is at most `tolerance`.
testing::AssertionResult within(const at::Tensor& excess, double tolerance, const at::Tensor& found,
                                const at::Tensor& wanted) {
  const at::Tensor all = excess.nan_to_num(INFINITY).contiguous().flatten();
  const auto worst = all.argmax().item<std::int64_t>();
  if (all[worst].item<double>() <= tolerance) return testing::AssertionSuccess();
  return testing::AssertionFailure() << all.gt(tolerance).sum().item<std::int64_t>() << " of " << all.numel()
                                     << " elements differ by more than " << tolerance << "; most at "
                                     << index_text(wanted.sizes(), worst) << ": "
                                     << found.flatten()[worst].item<double>() << ", expected "
                                     << wanted.flatten()[worst].item<double>();
}

}  // namespace

testing::AssertionResult tensors_match(const at::Tensor& actual, const at::Tensor& expected, double tolerance) {
  if (!actual.defined() || !expected.defined()) {
    if (actual.defined() == expected.defined()) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "only the " << (actual.defined() ? "first" : "second") << " is defined";
  }
  if (actual.sizes() != expected.sizes()) {
    return testing::AssertionFailure() << "shape " << actual.sizes() << ", expected " << expected.sizes();
  }
  if (actual.numel() == 0) return testing::AssertionSuccess();
  const at::Tensor found = actual.detach().to(at::kDouble), wanted = expected.detach().to(at::kDouble);
  return within((found - wanted).abs() / (wanted.abs() + 1.0), tolerance, found, wanted);
}

testing::AssertionResult gradients_match(const at::Tensor& actual, const at::Tensor& expected, double tolerance,
                                         double relative) {
  const auto near = tensors_match(actual, expected, tolerance);
  if (!near || !expected.defined() || expected.numel() == 0) return near;
  const at::Tensor found = actual.detach().to(at::kDouble), wanted = expected.detach().to(at::kDouble);
  const double noise = 16.0 * (actual.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                                   : std::numeric_limits<float>::epsilon());
  const double count = std::sqrt(static_cast<double>(wanted.numel()));
  const double scale = wanted.norm().item<double>() / count, error = (found - wanted).norm().item<double>() / count;
  if (!(error <= relative * scale + noise)) {
    return testing::AssertionFailure() << "differs by " << error << " in the mean square, more than " << relative
                                       << " of " << scale;
  }
  const at::Tensor excess = ((found - wanted).abs() - 4.0 * noise).clamp_min(0.0);
  return within(excess / (wanted.abs() + scale).clamp_min(1e-30), 4.0 * relative, found, wanted);
}

at::Tensor upstream_of(const at::Tensor& output) {
  return random_tensor(output.sizes(), output.scalar_type() == at::kDouble ? at::kDouble : at::kFloat, 99)
      .to(output.scalar_type());
}

std::vector<at::Tensor> gradients_of(const TensorFunction& f, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves, wanted;
  for (const at::Tensor& input : inputs) {
    const bool needed = input.defined() && input.requires_grad();
    leaves.push_back(needed ? leaf(input) : input);
    if (needed) wanted.push_back(leaves.back());
  }
  const at::Tensor output = f(leaves);
  const auto found = torch::autograd::grad({output}, wanted, {upstream_of(output)}, /*retain_graph=*/std::nullopt,
                                           /*create_graph=*/false, /*allow_unused=*/true);
  std::vector<at::Tensor> all;
  auto next = found.begin();
  for (const at::Tensor& input : inputs) {
    all.push_back(input.defined() && input.requires_grad() ? *next++ : at::Tensor());
  }
  return all;
}

testing::AssertionResult forms_agree(const TensorFunction& fused, const TensorFunction& plain,
                                     const std::vector<at::Tensor>& inputs, double tolerance,
                                     std::optional<double> relative) {
  const at::Tensor value = fused(inputs), expected = plain(inputs);
  if (value.scalar_type() != expected.scalar_type()) {
    return testing::AssertionFailure() << "dtype " << value.scalar_type() << ", expected " << expected.scalar_type();
  }
  const auto same_value = tensors_match(value, expected, tolerance);
  if (!same_value) return testing::AssertionFailure() << "values: " << same_value.message();
  const auto gradients = gradients_of(fused, inputs), expected_gradients = gradients_of(plain, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) continue;
    const auto or_zero = [&](const at::Tensor& gradient) {
      return gradient.defined() ? gradient : at::zeros_like(inputs[i]).detach();
    };
    const auto same =
        gradients_match(or_zero(gradients[i]), or_zero(expected_gradients[i]), tolerance, relative.value_or(tolerance));
    if (!same) return testing::AssertionFailure() << "gradient of input " << i << ": " << same.message();
  }
  return testing::AssertionSuccess();
}

}  // namespace shine::test
