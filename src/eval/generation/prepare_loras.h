#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "shine/eval/context_lora.h"
#include "shine/hypernetwork/hypernetwork.h"

namespace shine {

/// What the LoRA of one context cost.
struct LoraCost {
  double seconds = 0.0;
  std::int64_t tokens_cut = 0;                                    ///< of the context, before its LoRA was generated
  std::int64_t conversations_cut = 0;                             ///< sft: of those trained on
  double loss_before = std::numeric_limits<double>::quiet_NaN();  ///< sft: on the real questions
  double loss_after = std::numeric_limits<double>::quiet_NaN();
};

/// One adapter per context, on the decoder's device.
struct PreparedLoras {
  LoraTree tree;
  std::vector<LoraCost> costs;
};

/// One pass for all contexts, its time divided among them; a context is cut at `longest` tokens.
PreparedLoras generate_loras(const Hypernetwork& hypernetwork, std::vector<std::vector<std::int64_t>> contexts,
                             std::int64_t longest);

/// What a context's own LoRA is trained on, and on what it is measured.
struct SftTask {
  std::vector<RenderedConversation> conversations;  ///< to train on
  std::vector<RenderedConversation> questions;      ///< the real ones, with right answers
  std::int64_t conversations_cut = 0;               ///< of `conversations`, at the model's positions
  std::uint64_t seed = 0;
};

/// One after the other; the times exclude the losses. Returns nothing once `stop` gives true.
std::optional<PreparedLoras> train_loras(const Decoder& decoder, const std::vector<SftTask>& tasks,
                                         const SftConfig& config, const std::function<bool()>& stop);

}  // namespace shine
