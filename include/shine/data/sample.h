#pragma once

#include <cstdint>
#include <vector>

namespace shine {

/// One training example as token ids, without padding.
struct Sample {
  /// The LoRA is generated from these; empty for plain language modelling.
  std::vector<std::int64_t> context_ids;
  /// The backbone reads these under that LoRA.
  std::vector<std::int64_t> conversation_ids;
  /// As long as conversation_ids: the token at the same position, or kIgnoredLabel. The loss does the shift to the next
  /// token.
  std::vector<std::int64_t> labels;
  /// Tokens that the maximum lengths cut from the ends.
  std::int64_t context_tokens_cut = 0;
  std::int64_t conversation_tokens_cut = 0;
};

}  // namespace shine
