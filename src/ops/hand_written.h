#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace shine {

/// Values and gradients of operations whose autograd functions are our own, for functions that chain them themselves.
/// They go through a GPU's kernels where `ops.fused` uses them. To be called without gradients.

struct NormValues {
  at::Tensor y;        ///< (.., H), as rms_norm
  at::Tensor inverse;  ///< (.., 1), 1 / sqrt(mean(x^2) + eps), float32 (float64 for float64)
};
NormValues rms_norm_values(const at::Tensor& x, const at::Tensor& weight, double eps);

/// The gradient of x, with `residual` added: what reaches x beside the norm; undefined: none.
at::Tensor rms_norm_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& inverse, const at::Tensor& residual);

at::Tensor swiglu_values(const at::Tensor& gate, const at::Tensor& up);

/// (d gate, d up).
std::pair<at::Tensor, at::Tensor> swiglu_gradients(const at::Tensor& dy, const at::Tensor& gate, const at::Tensor& up);

}  // namespace shine
