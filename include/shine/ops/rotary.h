#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// Rotation of every pair (i, i + d/2) by position * theta^(-2i/d), the "rotate half" form of RoFormer.
struct RotaryTable {
  at::Tensor cos;  ///< (N, 1, d), the second half repeats the first
  at::Tensor sin;  ///< (N, 1, d)
};

/// Angles in float32, as transformers computes them; the table has `dtype`.
/// @param positions  (N), int64
/// @param head_dim   d, even
RotaryTable make_rotary_table(const at::Tensor& positions, std::int64_t head_dim, double theta, at::ScalarType dtype);

/// Hand-written backward: the rotation by the opposite angle, nothing of x is kept. The table is constant.
/// @param x  (N, heads, d)
/// @return   (N, heads, d)
at::Tensor rotary(const at::Tensor& x, const RotaryTable& table);

/// RMSNorm over d, then the rotation, as queries and keys go: in one pass over memory where a GPU's kernel takes them
/// (CudaKernel::rotary, and `weight` wants no gradient), else rotary(rms_norm(x)).
/// @param weight  (d)
at::Tensor norm_rotary(const at::Tensor& x, const at::Tensor& weight, const RotaryTable& table, double eps);

/// The formula by autograd: the plain twin that tests rotary.
at::Tensor rotary_plain(const at::Tensor& x, const RotaryTable& table);

}  // namespace shine
