#pragma once

#include <ATen/core/Tensor.h>

#include "shine/common/api.h"
#include "shine/tensor/rope_scaling.h"

namespace shine {

/// Rotation of every pair (i, i + d/2) by position * theta^(-2i/d), the "rotate half" form of RoFormer.
struct RopeTable {
  at::Tensor cos;  ///< (N, 1, d), the second half repeats the first
  at::Tensor sin;  ///< (N, 1, d)
};

/// Angles in float32, as transformers computes them; the table has `dtype`.
/// @param positions  (N), int64
/// @param head_dim   d, even
/// @param scaling    of the frequencies theta^(-2i/d)
SHINE_API RopeTable make_rope_table(const at::Tensor& positions, std::int64_t head_dim, double theta,
                                    at::ScalarType dtype, const RopeScaling& scaling = {});

}  // namespace shine
