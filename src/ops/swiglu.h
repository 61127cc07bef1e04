#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// silu(gate) * up, element by element; both of one shape (Shazeer, 2020).
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

/// The formula by autograd.
at::Tensor swiglu_reference(const at::Tensor& gate, const at::Tensor& up);

}  // namespace shine
