#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace shine::bench {

/// Texts that are measured together.
struct TextSet {
  std::string name;
  std::vector<std::string> texts;

  std::size_t bytes() const;
};

/// Documents of at least `bytes` bytes (the last may be shorter), cut after line ends.
std::vector<std::string> cut_documents(std::string_view text, std::size_t bytes);

/// Texts of about `bytes` bytes that are hard for a careless tokenizer, one to a set: one character over and over,
/// nearly matching added tokens, marks that normalisation must sort, random bytes.
std::vector<TextSet> hard_texts(std::size_t bytes);

}  // namespace shine::bench
