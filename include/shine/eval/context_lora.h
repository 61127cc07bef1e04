#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/evaluation_config.h"
#include "shine/decoder/decoder.h"
#include "shine/lora/lora_tree.h"
#include "shine/text/message.h"

namespace shine {

/// A LoRA trained on conversations, and the loss before each step.
struct TrainedLora {
  LoraTree tree;  ///< one adapter, on the decoder's device
  std::vector<double> losses;
};

/// Per-context fine-tuning: a fresh LoRA (A normal, B zero), AdamW over all its tensors, a rate that falls linearly to
/// zero, no warm-up, no clipping, one step for each conversation with labels, in order, `epochs` times. The decoder
/// is not changed. Returns nothing once `stop` gives true.
/// @param conversations  in tokens; at least one must have labels (ConfigError)
/// @param seed           of A
SHINE_API std::optional<TrainedLora> train_context_lora(const Decoder& decoder,
                                                        const std::vector<RenderedConversation>& conversations,
                                                        const SftConfig& config, std::uint64_t seed,
                                                        const std::function<bool()>& stop = {});

/// Mean cross-entropy over all labelled tokens of the conversations, each a row of its own; NaN without labels.
/// @param lora  one adapter, or null
SHINE_API double mean_loss(const Decoder& decoder, const LoraTree* lora,
                           const std::vector<RenderedConversation>& conversations);

/// One tree with the adapters of all, in order. The shapes must be equal; at least one tree.
SHINE_API LoraTree join_adapters(const std::vector<LoraTree>& trees);

}  // namespace shine
