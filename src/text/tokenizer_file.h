#pragma once

#include <cstdint>
#include <filesystem>
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
  BpeModelData model;
  std::vector<std::pair<AddedToken, std::int64_t>> added_tokens;  // with their ids, in the file's order
};

/// Throws IoError, FormatError (file and key), UnsupportedError (the part of the file that is not supported).
TokenizerFile read_tokenizer_file(const std::filesystem::path& path);

}  // namespace shine
