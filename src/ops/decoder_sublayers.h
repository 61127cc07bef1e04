#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/sublayer_parts.h"

namespace shine {

/// The activations that a sub-layer saves for its backward.
enum class SavedActivations {
  all,         ///< every value that the gradient needs
  input_only,  ///< x and the LoRAs: the rest is computed again in the backward
};

/// Whether the CPU backend computes with `type`: on processors with AVX-512, for bfloat16 with its bf16 instructions,
/// and not with `ops.fused: off`.
bool blocks_run(at::ScalarType type, at::Device device);

/// y = x + o(attention(q, k, v of norm(x))) with a LoRA on each projection. The CPU backend makes one pass over blocks
/// of tokens, but for the attention itself. Hand-written backward for x and the LoRAs, good for
/// one run; it throws where one of them was changed in place. The backend is that of the weights, and the batch's must
/// be the same (ShapeError).
/// @param x       (N, H), of the weights' type; for blocks one that blocks_run
/// @param lora    of q, k, v, o; null: none
/// @param chosen  null, or: only these tokens' y are computed
/// @return        (N, H), or (Nq, H)
at::Tensor attention_sublayer(const std::shared_ptr<const AttentionWeights>& weights, const at::Tensor& x,
                              const std::array<LoraWeights, 4>* lora, const std::shared_ptr<const SublayerBatch>& batch,
                              const std::shared_ptr<const TokenChoice>& chosen, SavedActivations keep);

/// y = x + down(silu(gate) * up of norm(x)) with a LoRA on each projection; engines and backward as above.
/// @param x         (N, H)
/// @param lora      of gate, up, down; null: none
/// @param adapters  of the tokens; not read without a LoRA
at::Tensor mlp_sublayer(const std::shared_ptr<const MlpWeights>& weights, const at::Tensor& x,
                        const std::array<LoraWeights, 3>* lora, const TokenAdapters& adapters, SavedActivations keep);

}  // namespace shine
