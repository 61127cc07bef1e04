#pragma once

#include "shine/tensor/rope_table.h"

namespace shine {

/// Rotates every pair (i, i + d/2) by the table's angles (RoFormer, in the "rotate half" form).
/// @param x  (N, heads, d)
/// @return   (N, heads, d)
at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table);

/// The formula by autograd.
at::Tensor apply_rope_reference(const at::Tensor& x, const RopeTable& table);

}  // namespace shine
