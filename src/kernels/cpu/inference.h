#pragma once

#include <ATen/core/Tensor.h>

#include "shine/tensor/rope_table.h"

namespace shine {

// Decoding runs hundreds of small operations per token; each of these does in one pass what would take several tensor
// operations. Forward only, for inference mode.

/// A contiguous float32 tensor on the CPU.
bool cpu_kernel_takes(const at::Tensor& x);

at::Tensor cpu_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

at::Tensor cpu_rope(const at::Tensor& x, const RopeTable& table);

}  // namespace shine
