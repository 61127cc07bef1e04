#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "shine/text/tokenizer.h"
#include "text/bpe/bpe_model.h"
#include "text/bpe/pre_tokenizer.h"

namespace shine {

/// The content of a tokenizer.json.
struct TokenizerFile {
  bool nfc = false;
  std::vector<PreTokenizerStep> pre_tokenizer;
  bool byte_level_alone = false;  // the pre-tokenizer is ByteLevel, not a Sequence that ends with it
  BpeModelData model;
  std::vector<std::pair<AddedToken, std::int64_t>> added_tokens;  // with their ids, in the file's order
  std::string pad_token;                                          // of saved padding; may be empty
};

/// Throws IoError, FormatError (file and key), UnsupportedError (the part of the file that is not supported).
TokenizerFile read_tokenizer_file(const std::filesystem::path& path);

}  // namespace shine
