#pragma once

#include "shine/config/data_config.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// How special tokens in data texts are read.
inline SpecialTokens special_tokens(const TextConfig& text) {
  return text.special_tokens == SpecialTokenUse::parse ? SpecialTokens::parse : SpecialTokens::escape;
}

}  // namespace shine
