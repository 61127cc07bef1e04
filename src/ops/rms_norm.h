#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// y = weight * x / sqrt(mean(x^2) + eps) over the last dimension. Statistics in float32 (float64 for float64
/// input); the weight multiplies after casting back to x's dtype (Zhang and Sennrich, 2019).
/// @param x       (.., H)
/// @param weight  (H)
/// @return        (.., H)
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// The formula by autograd.
at::Tensor rms_norm_reference(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace shine
