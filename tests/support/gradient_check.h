#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

#include "support/tensor_match.h"

namespace shine::test {

/// Central differences (f(x + h) - f(x - h)) / 2h of one input, element by element, for the scalar
/// sum(output * upstream_of(output)).
inline at::Tensor central_differences(const TensorFunction& f, std::vector<at::Tensor> inputs, std::size_t which,
                                      double h) {
  const at::NoGradGuard no_grad;
  const auto scalar = [&] {
    const at::Tensor output = f(inputs);
    return (output * upstream_of(output)).sum().item<double>();
  };
  inputs[which] = inputs[which].detach().clone().contiguous();
  at::Tensor differences = at::zeros_like(inputs[which]);
  auto* values = inputs[which].mutable_data_ptr<double>();
  auto* results = differences.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < differences.numel(); ++i) {
    const double at_point = values[i];
    values[i] = at_point + h;
    const double above = scalar();
    values[i] = at_point - h;
    results[i] = (above - scalar()) / (2.0 * h);
    values[i] = at_point;
  }
  return differences;
}

/// Autograd's gradient of `f` by every input that requires one equals the central differences. The output may have any
/// shape: fixed pseudo-random weights make it a scalar. Inputs must be float64. With h = 1e-5 the differences of smooth
/// functions of size 1 are exact to about 1e-10.
inline testing::AssertionResult gradients_match_differences(const TensorFunction& f,
                                                            const std::vector<at::Tensor>& inputs,
                                                            double tolerance = 1e-7, double h = 1e-5) {
  const auto gradients = gradients_of(f, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined() || !inputs[i].requires_grad()) continue;
    if (inputs[i].scalar_type() != at::kDouble) {
      return testing::AssertionFailure() << "input " << i << " is " << inputs[i].scalar_type() << ", expected float64";
    }
    const at::Tensor differences = central_differences(f, inputs, i, h);
    const at::Tensor gradient = gradients[i].defined() ? gradients[i] : at::zeros_like(differences);
    const auto same = gradients_match(gradient, differences, tolerance);
    if (!same) {
      return testing::AssertionFailure() << "gradient of input " << i << " of shape " << inputs[i].sizes()
                                         << " against central differences: " << same.message();
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace shine::test
