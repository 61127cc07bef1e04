#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shine/text/tokenizer.h"

namespace shine {

/// What the files beside a vocabulary say: tokenizer_config.json, special_tokens_map.json, added_tokens.json.
struct TokensBeside {
  struct Entry {
    AddedToken token;
    std::optional<std::int64_t> id;  // where the files give one
  };
  std::vector<Entry> tokens;             // in the order in which they are added: later flags replace earlier ones
  std::optional<bool> add_prefix_space;  // of tokenizer_config.json, for a ByteLevel pre-tokenizer that stands alone
};

/// What the vocabulary's own file says.
struct OwnTokens {
  std::vector<std::pair<AddedToken, std::int64_t>> added;
  std::string pad_token;  // may be empty
};

/// Reads them as AutoTokenizer of `transformers` does: added_tokens_decoder of tokenizer_config.json; without it
/// special_tokens_map.json, added_tokens.json and `own`; then the special tokens by name (eos_token, ..) that have not
/// been met. Throws FormatError, and UnsupportedError for split_special_tokens.
TokensBeside read_tokens_beside(const std::filesystem::path& folder, const OwnTokens& own);

}  // namespace shine
