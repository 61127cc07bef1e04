#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <vector>

#include "shine/common/str.h"
#include "support/relative_error.h"

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

/// |actual - expected| <= tolerance * (1 + |expected|) for every element, with equal shapes.
testing::AssertionResult tensors_match(const at::Tensor& actual, const at::Tensor& expected, double tolerance);

/// As tensors_match, and small tensors are compared as strictly as large ones: with rms the root mean square,
/// rms(actual
/// - expected) <= relative * rms(expected) + noise, and every |actual - expected| <= 4 * (relative * (|expected| +
/// rms(expected)) + noise). The noise is 16 roundings of a 1 in float32 (2e-6; in float64 for float64): what is left of
/// a gradient that is zero in exact arithmetic.
testing::AssertionResult gradients_match(const at::Tensor& actual, const at::Tensor& expected, double tolerance,
                                         double relative);

/// With the tolerance for both.
inline testing::AssertionResult gradients_match(const at::Tensor& actual, const at::Tensor& expected,
                                                double tolerance) {
  return gradients_match(actual, expected, tolerance, tolerance);
}

/// Fixed weights of an output, so that sum(output * weights) has a different gradient at every element.
at::Tensor upstream_of(const at::Tensor& output);

/// Gradients of sum(output * upstream_of(output)) by the inputs that require one; undefined for the others and for
/// inputs that the output does not depend on.
std::vector<at::Tensor> gradients_of(const TensorFunction& f, const std::vector<at::Tensor>& inputs);

/// Both functions give the same values, dtype and gradients (`relative` as in gradients_match, the tolerance itself
/// where it is not given); no gradient is a gradient of zero.
testing::AssertionResult forms_agree(const TensorFunction& fused, const TensorFunction& plain,
                                     const std::vector<at::Tensor>& inputs, double tolerance,
                                     std::optional<double> relative = std::nullopt);

}  // namespace shine::test
