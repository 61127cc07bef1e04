#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace shine {

/// The class that `transformers` would open a folder's tokenizer with, without "Fast": tokenizer_class in
/// tokenizer_config.json, else by model_type in config.json; empty where neither tells. Throws FormatError.
/// @param general  whether PreTrainedTokenizer, the class of no model in particular, counts
std::string tokenizer_class(const std::filesystem::path& folder, bool general = true);

/// The special tokens (key -> content) that a class has where tokenizer_config.json does not have the key.
const std::map<std::string, std::string>& default_special_tokens(const std::string& tokenizer_class);

}  // namespace shine
