#pragma once

#include "lora/reshape.h"
#include "shine/lora/lora_tree.h"

namespace shine {

/// How a flat vector becomes a LoRA tree (paper section 3.3).
struct LoraLayout {
  LoraSpec spec;
  std::int64_t rank = 0;
  LoraReshape reshape = LoraReshape::rl;
  double scale = 0.001;  ///< A and B are multiplied by sqrt(scale), C by scale
};

/// Slices `vector` (B, L * block) into a tree of B adapters. Each layer uses the first `numel_per_layer(rank)` values
/// of its block and ignores the rest. The vector is split once and all layers' slices of one kind are made together, so
/// that its gradient is concatenated once: slicing tensor by tensor, autograd would zero a whole vector for each.
/// Throws ShapeError if L does not divide the width or a block is too short.
LoraTree lora_from_vector(const at::Tensor& vector, const LoraLayout& layout);

}  // namespace shine
