#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "shine/common/api.h"

namespace shine {

/// One projection's LoRA for B_l adapters: y = W x + b + (x A) B + C (paper section 3.1; no factor alpha / r).
struct LoraWeights {
  at::Tensor a;  ///< (B_l, in, r)
  at::Tensor b;  ///< (B_l, r, out)
  at::Tensor c;  ///< (B_l, out), undefined where the projection has no bias
};

/// Appends A, B and C of each projection, in order; C may be undefined.
SHINE_API void append_tensors(std::span<const LoraWeights> lora, std::vector<at::Tensor>& tensors);

/// The inverse of append_tensors. Throws ShapeError unless there are three tensors per projection.
SHINE_API std::vector<LoraWeights> lora_weights_of(std::span<const at::Tensor> tensors);

}  // namespace shine
