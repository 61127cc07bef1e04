#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <string>
#include <vector>

#include "shine/common/str.h"

namespace shine::test {

/// A function of several tensors. Those that require a gradient are what the checks below differentiate by.
using TensorFunction = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// The same numbers on every run: N(0, 1).
inline at::Tensor random_tensor(at::IntArrayRef sizes, at::ScalarType type = at::kDouble, std::uint64_t seed = 1) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::empty(sizes, at::TensorOptions().dtype(at::kDouble)).normal_(0.0, 1.0, generator).to(type);
}

/// A new leaf with the values of `tensor`.
inline at::Tensor leaf(const at::Tensor& tensor) {
  return tensor.detach().clone().requires_grad_(true);
}

inline at::Tensor random_leaf(at::IntArrayRef sizes, at::ScalarType type = at::kDouble, std::uint64_t seed = 1) {
  return random_tensor(sizes, type, seed).requires_grad_(true);
}

/// Index of flat element `flat` of a tensor of these sizes, as "(2, 0)".
inline std::string index_text(at::IntArrayRef sizes, std::int64_t flat) {
  std::vector<std::int64_t> index(sizes.size());
  for (std::size_t i = sizes.size(); i-- > 0;) {
    index[i] = flat % sizes[i];
    flat /= sizes[i];
  }
  return str("(", join(index, ", "), ")");
}

/// |actual - expected| <= tolerance * (1 + |expected|) for every element, with equal shapes.
inline testing::AssertionResult tensors_match(const at::Tensor& actual, const at::Tensor& expected, double tolerance) {
  if (!actual.defined() || !expected.defined()) {
    if (actual.defined() == expected.defined()) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "only the " << (actual.defined() ? "first" : "second") << " is defined";
  }
  if (actual.sizes() != expected.sizes()) {
    return testing::AssertionFailure() << "shape " << actual.sizes() << ", expected " << expected.sizes();
  }
  if (actual.numel() == 0) return testing::AssertionSuccess();
  const at::Tensor found = actual.detach().to(at::kDouble).contiguous(), wanted = expected.detach().to(at::kDouble);
  const at::Tensor excess = ((found - wanted).abs() / (wanted.abs() + 1.0)).nan_to_num(INFINITY);
  const auto worst = excess.argmax().item<std::int64_t>();
  const auto largest = excess.flatten()[worst].item<double>();
  if (largest <= tolerance) return testing::AssertionSuccess();
  return testing::AssertionFailure() << excess.gt(tolerance).sum().item<std::int64_t>() << " of " << actual.numel()
                                     << " elements differ by more than " << tolerance << "; most at "
                                     << index_text(actual.sizes(), worst) << ": "
                                     << found.flatten()[worst].item<double>() << ", expected "
                                     << wanted.flatten()[worst].item<double>();
}

/// Fixed weights of an output, so that sum(output * weights) has a different gradient at every element.
inline at::Tensor upstream_of(const at::Tensor& output) {
  return random_tensor(output.sizes(), output.scalar_type() == at::kDouble ? at::kDouble : at::kFloat, 99)
      .to(output.scalar_type());
}

/// Gradients of sum(output * upstream_of(output)) by the inputs that require one; undefined for the others and for
/// inputs that the output does not depend on.
inline std::vector<at::Tensor> gradients_of(const TensorFunction& f, const std::vector<at::Tensor>& inputs) {
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

/// Both functions give the same values, dtype and gradients; no gradient is a gradient of zero.
inline testing::AssertionResult forms_agree(const TensorFunction& fused, const TensorFunction& plain,
                                            const std::vector<at::Tensor>& inputs, double tolerance) {
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
    const auto same = tensors_match(or_zero(gradients[i]), or_zero(expected_gradients[i]), tolerance);
    if (!same) return testing::AssertionFailure() << "gradient of input " << i << ": " << same.message();
  }
  return testing::AssertionSuccess();
}

}  // namespace shine::test
