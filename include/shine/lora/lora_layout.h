#pragma once

#include "shine/config/hypernetwork_config.h"
#include "shine/lora/lora_tree.h"

namespace shine {

/// How a flat vector becomes a LoRA tree (SPEC section 3, paper section 3.3).
struct LoraLayout {
  LoraSpec spec;
  std::int64_t rank = 0;
  LoraMethod method = LoraMethod::rl;
  double scale = 0.001;  ///< A and B are multiplied by sqrt(scale), C by scale
};

/// Slices `vector` (B, L*block) into a tree of B adapters. Layer i uses the first `numel_per_layer(rank)` values of
/// its block of block = vector.size(1) / L values and ignores the rest. One op with one hand-written backward.
/// Throws ShapeError if L does not divide the width or a block is too short.
LoraTree lora_from_vector(const at::Tensor& vector, const LoraLayout& layout);

/// The same through autograd's own slicing: the reference that tests lora_from_vector.
LoraTree lora_from_vector_reference(const at::Tensor& vector, const LoraLayout& layout);

}  // namespace shine
