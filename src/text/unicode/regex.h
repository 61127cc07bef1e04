#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shine/text/tokenizer.h"

namespace shine {

/// A compiled pattern with the meaning Oniguruma (the engine of `tokenizers`) gives it, matched by PCRE2 with Unicode
/// properties. Constructs that the two engines read differently are translated, or refused.
class Regex {
 public:
  /// Throws UnsupportedError where the pattern cannot be given the same meaning here, naming `where`.
  Regex(std::string_view pattern, const std::string& where);

  /// Matches exactly this text.
  static Regex literal(std::string_view text, const std::string& where);

  /// All matches in valid UTF-8, from left to right. No empty match directly follows another match.
  std::vector<TextSpan> find_all(std::string_view text) const;

  /// True if there is a match.
  bool matches(std::string_view text) const;

 private:
  struct Code;
  Regex() = default;
  bool find(std::string_view text, std::size_t from, TextSpan& found) const;

  std::shared_ptr<const Code> code_;
};

}  // namespace shine
