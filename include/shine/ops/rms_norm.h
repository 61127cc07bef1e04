#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// y = weight * x / sqrt(mean(x^2) + eps) over the last dimension. Statistics in float32 (float64 for float64
/// input); the weight multiplies after casting back to x's dtype (SPEC section 2). Hand-written backward; the weight
/// gets a gradient only when it asks for one.
/// @param x       (.., H)
/// @param weight  (H)
/// @return        (.., H)
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

struct AddedNorm {
  at::Tensor sum;     ///< x + residual
  at::Tensor normed;  ///< rms_norm(sum)
};

/// Both in one pass over memory where a GPU's kernel takes them (CudaKernel::rms_norm), else one after the other.
/// @param x, residual  (.., H)
AddedNorm add_rms_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, double eps);

/// The formula by autograd: the plain twin that tests rms_norm.
at::Tensor rms_norm_plain(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace shine
