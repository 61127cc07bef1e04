#pragma once

#include "shine/tensor/rope_table.h"

namespace shine::torch_kernels {

/// The rotation (ops/rope.h) with a backward written by hand, the inverse rotation: x is not saved. The table is
/// constant. On a GPU by CudaKernel::rope where that is in use.
/// @param x  (N, heads, d)
at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table);

/// RMSNorm over d, then the rotation, as for queries and keys: one kernel where the GPU's takes them and `weight` needs
/// no gradient, else one after the other.
/// @param weight  (d)
at::Tensor norm_rope(const at::Tensor& x, const at::Tensor& weight, const RopeTable& table, double eps);

/// The values of apply_rope, without gradients.
/// @param inverse  rotate by the negated angle
at::Tensor rope_values(const at::Tensor& x, const RopeTable& table, bool inverse = false);

}  // namespace shine::torch_kernels
