#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// silu(gate) * up, element by element; both of one shape. Hand-written backward that keeps only the two inputs.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

/// The formula by autograd: the plain twin that tests swiglu.
at::Tensor swiglu_plain(const at::Tensor& gate, const at::Tensor& up);

}  // namespace shine
