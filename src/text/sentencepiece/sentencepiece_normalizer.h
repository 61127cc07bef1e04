#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/added_vocabulary.h"
#include "text/sentencepiece/sentencepiece_file.h"

namespace shine {

/// A text as sentencepiece's models see it: rules applied, spaces written as U+2581.
struct SentencePieceText {
  std::string text;
  std::vector<std::size_t> sources;  // per byte, and for the end, the place in the given text that it comes from
};

/// Rewrites texts by a model's rules, to the same bytes and places as the sentencepiece package. Thread-safe.
class SentencePieceNormalizer {
 public:
  explicit SentencePieceNormalizer(SentencePieceRules rules) : rules_(std::move(rules)) {}

  /// @param text     valid UTF-8
  /// @param symbols  user-defined pieces, which no rule changes
  SentencePieceText normalize(std::string_view text, const StringTrie& symbols) const;

  const SentencePieceRules& rules() const { return rules_; }

 private:
  struct Step {
    std::string_view text;   // what is written
    std::size_t length = 0;  // of what was read
  };
  Step next_step(std::string_view text, const StringTrie& symbols) const;
  Step longest_rule(std::string_view text) const;

  SentencePieceRules rules_;
};

/// What sentencepiece writes for a space.
inline constexpr std::string_view kSpaceMark = "\u2581";

}  // namespace shine
