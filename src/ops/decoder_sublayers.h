#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>

#include "kernels/sublayer_parts.h"

namespace shine {

/// The activations that a sub-layer saves for its backward.
enum class SavedActivations {
  all,         ///< every value that the gradient needs
  input_only,  ///< x and the LoRAs: the rest is recomputed in the backward
};

/// Whether the CPU backend runs in `type`: it needs AVX-512, for bfloat16 also AVX512_BF16, and `ops.fused` not off.
bool cpu_backend_runs(at::ScalarType type, at::Device device);

/// y = x + o(attention(q, k, v of norm(x))) with a LoRA on each projection. Apart from the attention itself, the
/// CPU backend makes one pass over blocks of tokens. The backward for x and the LoRAs is written by hand, runs once,
/// and throws where one of them was changed in place. The weights choose the backend; the batch must be made for the
/// same one (ShapeError).
/// @param x       (N, H), of the weights' type; on the CPU backend a type for which cpu_backend_runs
/// @param lora    of q, k, v, o; empty: none
/// @param chosen  the tokens whose y is computed; null: all
/// @return        (N, H), or (Nq, H)
at::Tensor attention_sublayer(const std::shared_ptr<const AttentionWeights>& weights, const at::Tensor& x,
                              std::span<const LoraWeights> lora, const std::shared_ptr<const SublayerBatch>& batch,
                              const std::shared_ptr<const TokenChoice>& chosen, SavedActivations save);

/// y = x + down(silu(gate) * up of norm(x)) with a LoRA on each projection; backends and backward as above.
/// @param x         (N, H)
/// @param lora      of gate, up, down; empty: none
/// @param adapters  of the tokens; not read without a LoRA
at::Tensor mlp_sublayer(const std::shared_ptr<const MlpWeights>& weights, const at::Tensor& x,
                        std::span<const LoraWeights> lora, const TokenAdapters& adapters, SavedActivations save);

}  // namespace shine
