#pragma once

#include <ATen/core/Tensor.h>

#include "shine/tensor/rope_table.h"

namespace shine::test {

/// A capability added to a readable form alone. tests/planted/CMakeLists.txt says where each is put in.
enum class Plant {
  none,
  soft_cap,         ///< of the attention's scores
  partial_rotary,   ///< the second half of each head is not rotated
  norm_after_rope,  ///< q and k are rotated, then normed
  logit_soft_cap,   ///< of the head's logits
  activation,       ///< relu in the M2P's encoder layers
};

/// The one that is in effect.
extern Plant planted;

/// x, and under `plant` its values capped.
at::Tensor capped(const at::Tensor& x, Plant plant);

/// apply_rope, of the first half of each head under Plant::partial_rotary.
at::Tensor planted_rope(const at::Tensor& x, const RopeTable& table);

/// gelu, or relu under Plant::activation.
at::Tensor planted_activation(const at::Tensor& x);

}  // namespace shine::test
