#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "shine/common/api.h"
#include "shine/lora/lora_spec.h"
#include "shine/tensor/lora_weights.h"

namespace shine {

/// The LoRA of one decoder layer, indexed by Projection.
struct LoraLayer {
  std::array<LoraWeights, 7> projections;

  LoraWeights& operator[](Projection p) { return projections[static_cast<std::size_t>(p)]; }
  const LoraWeights& operator[](Projection p) const { return projections[static_cast<std::size_t>(p)]; }
};

/// A LoRA for every projection of every layer: a Meta-LoRA (B_l = 1, shared by the batch) or generated ones.
struct SHINE_API LoraTree {
  std::vector<LoraLayer> layers;

  /// B_l; 0 for an empty tree.
  std::int64_t adapters() const;
  /// r; 0 for an empty tree.
  std::int64_t rank() const;
};

/// Calls `f(name, tensor)` for every defined tensor; names are "{layer}.{attention|mlp}.{projection}.{A|B|C}".
SHINE_API void for_each_tensor(LoraTree& tree, const std::function<void(const std::string&, at::Tensor&)>& f);

/// A layer from the tensors that append_tensors gives for its projections. Throws ShapeError for another number.
SHINE_API LoraLayer lora_layer_of(std::span<const at::Tensor> tensors);

/// Concatenates A and B along the rank and sums C: the result's delta is the sum of both. A tree with B_l = 1 is
/// expanded to the other's B_l. Throws ShapeError unless the layers and every `in` and `out` are equal.
SHINE_API LoraTree concat_ranks(const LoraTree& first, const LoraTree& second);

/// A new Meta-LoRA: A ~ Normal with mean 0 and variance `scale`, B = 0, C = 0, B_l = 1; float32 on the CPU.
SHINE_API LoraTree make_meta_lora(const LoraSpec& spec, std::int64_t rank, double scale, at::Generator& generator);

}  // namespace shine
