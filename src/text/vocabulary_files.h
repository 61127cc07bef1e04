#pragma once

#include <filesystem>

#include "text/tokenizer_file.h"

namespace shine {

inline constexpr const char* kVocabularyFile = "vocab.json";

/// True if the folder holds vocab.json and merges.txt.
bool has_vocabulary_files(const std::filesystem::path& folder);

/// The tokenizer that `transformers` makes of vocab.json and merges.txt: how texts are cut follows from the class in
/// tokenizer_config.json, or, where that names no class of its own, from model_type in config.json. Throws IoError,
/// FormatError (file and line), and UnsupportedError for a class other than Qwen2Tokenizer and GPT2Tokenizer.
TokenizerFile read_vocabulary_files(const std::filesystem::path& folder);

}  // namespace shine
