#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace shine {

/// The operands of y = x W^T + bias + (x A) B + C for packed rows (paper section 3.1; no alpha / r factor).
struct LoraLinearInput {
  at::Tensor x;                     ///< (N, in)
  at::Tensor weight;                ///< (out, in), frozen
  at::Tensor bias;                  ///< (out), frozen; undefined: none
  at::Tensor a;                     ///< (B_l, in, r)
  at::Tensor b;                     ///< (B_l, r, out)
  at::Tensor c;                     ///< (B_l, out); undefined: none
  std::vector<std::int64_t> spans;  ///< (B_l + 1) offsets from 0 to N: tokens [spans[i], spans[i + 1]) use adapter i
};

/// y (N, out) in x's dtype; A, B and C are cast to it. In inference mode adapters that serve equally many tokens are
/// one batched product. Throws ShapeError when the operands do not fit together.
at::Tensor lora_linear(const LoraLinearInput& input);

/// The formula by autograd.
at::Tensor lora_linear_reference(const LoraLinearInput& input);

}  // namespace shine
