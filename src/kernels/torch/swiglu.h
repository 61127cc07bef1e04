#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace shine::torch_kernels {

/// silu(gate) * up (ops/swiglu.h) with a backward written by hand, which saves only the two inputs. On a GPU by
/// CudaKernel::swiglu where that is in use.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

// The same for functions that chain gradients themselves; called without gradients.

at::Tensor swiglu_values(const at::Tensor& gate, const at::Tensor& up);

/// (d gate, d up).
std::pair<at::Tensor, at::Tensor> swiglu_gradients(const at::Tensor& dy, const at::Tensor& gate, const at::Tensor& up);

}  // namespace shine::torch_kernels
