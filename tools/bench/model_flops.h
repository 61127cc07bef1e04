#pragma once

#include "shine/config/hypernetwork_config.h"
#include "shine/decoder/decoder_config.h"
#include "shine/hypernetwork/memory_to_params.h"
#include "shine/train/model_batch.h"

namespace shine::bench {

/// Floating-point operations of the matrix products that a training step needs at least, forward and backward: no
/// gradient of frozen weights, the unmasked half of causal attention, the head at labelled positions only, in the last
/// layer keys and values for all tokens and the rest only for those that are read (memory tokens, labelled positions),
/// no recomputation. One multiply-add is 2.
struct ModelFlops {
  double backbone = 0.0;   ///< frozen projections, both passes, memory tokens included
  double lora = 0.0;       ///< Meta-LoRA and generated LoRA
  double attention = 0.0;  ///< scores and mixing of the backbone
  double m2p = 0.0;        ///< memory-to-parameter network with its attention
  double head = 0.0;       ///< logits and their gradient

  double total() const { return backbone + lora + attention + m2p + head; }
  ModelFlops& operator+=(const ModelFlops& other);
};

/// @param config  of the kind transformer without couple layers, resolved (see resolve_m2p_config)
ModelFlops count_flops(const DecoderConfig& decoder, const HypernetworkConfig& config, const M2pShape& shape,
                       const ModelBatch& batch);

/// The same of generating LoRAs for `contexts`: forward only.
ModelFlops count_generation_flops(const DecoderConfig& decoder, const HypernetworkConfig& config, const M2pShape& shape,
                                  const RowLayout& contexts);

}  // namespace shine::bench
