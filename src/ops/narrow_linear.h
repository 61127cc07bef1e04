#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// y = x W^T + bias with operands rounded to bfloat16 and float32 products, forward and backward: what a CPU backend's
/// products give, on any device. Sums and the bias are not rounded.
/// @param x       (.., in), float32
/// @param weight  (out, in), float32
/// @param bias    (out), float32, or undefined
/// @return        (.., out), float32
at::Tensor narrow_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace shine
