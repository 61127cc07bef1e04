#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// One projection's LoRA for B_l adapters: y = W x + b + (x A) B + C (paper section 3.1; no factor alpha / r).
struct LoraWeights {
  at::Tensor a;  ///< (B_l, in, r)
  at::Tensor b;  ///< (B_l, r, out)
  at::Tensor c;  ///< (B_l, out), undefined where the projection has no bias
};

}  // namespace shine
