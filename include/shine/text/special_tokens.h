#pragma once

#include <cstdint>
#include <string_view>

#include "shine/common/api.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// ChatML's markers and the separator of contexts (also the pad token; padding is known by length, never by id).
inline constexpr std::string_view kMessageStart = "<|im_start|>";
inline constexpr std::string_view kMessageEnd = "<|im_end|>";
inline constexpr std::string_view kTextEnd = "<|endoftext|>";

/// The tokens SHINE appends to a tokenizer: the requests of pretraining (reconstruct, complete) and "no answer".
inline constexpr std::string_view kReconstruct = "<RECON>";
inline constexpr std::string_view kComplete = "<COMP>";
inline constexpr std::string_view kNothing = "<NOTHING>";

struct TaskTokens {
  std::int64_t reconstruct = 0;
  std::int64_t complete = 0;
  std::int64_t nothing = 0;
};

/// Appends the three task tokens (151669.. for Qwen3), or finds them where they are already present.
SHINE_API TaskTokens add_task_tokens(Tokenizer& tokenizer);

/// The id of a token that must exist; ConfigError naming it otherwise.
SHINE_API std::int64_t require_token(const Tokenizer& tokenizer, std::string_view token);

}  // namespace shine
