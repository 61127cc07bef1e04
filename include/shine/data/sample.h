#pragma once

#include <cstdint>
#include <vector>

namespace shine {

/// One training example as token ids, without padding.
struct Sample {
  /// What the LoRA is generated from; empty for plain language modelling.
  std::vector<std::int64_t> context_ids;
  /// What the backbone with that LoRA reads.
  std::vector<std::int64_t> conversation_ids;
  /// As long as conversation_ids: the token at this very position, or ignored_label. The shift to the next token
  /// belongs to the loss.
  std::vector<std::int64_t> labels;
  /// Tokens that the maximum lengths cut from the ends.
  std::int64_t context_tokens_cut = 0;
  std::int64_t conversation_tokens_cut = 0;
};

}  // namespace shine
