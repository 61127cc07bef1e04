#pragma once

#include <ATen/core/Tensor.h>

namespace shine::torch_kernels {

/// RMSNorm (ops/rms_norm.h) with a backward written by hand: it saves x and one number per row. On a GPU by
/// CudaKernel::rms_norm where that is in use.
/// @param x       (.., H)
/// @param weight  (H)
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

// The same for functions that chain gradients themselves; called without gradients.

struct NormValues {
  at::Tensor y;        ///< (.., H)
  at::Tensor inverse;  ///< (.., 1), 1 / sqrt(mean(x^2) + eps), float32 (float64 for float64)
};
NormValues rms_norm_values(const at::Tensor& x, const at::Tensor& weight, double eps);

/// The gradient of x, with `residual` added: what reaches x beside the norm; undefined: none.
at::Tensor rms_norm_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& inverse, const at::Tensor& residual);

}  // namespace shine::torch_kernels
