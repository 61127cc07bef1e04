#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode/regex.h"

namespace shine {

/// A pattern that cuts texts. The well-known ones (known_patterns.h) are matched by code written for them, all others
/// by PCRE2, with the same matches.
class SplitPattern {
 public:
  /// Throws UnsupportedError as Regex does.
  SplitPattern(std::string_view pattern, const std::string& where);

  /// Matches exactly this text.
  static SplitPattern literal(std::string_view text, const std::string& where);

  /// All matches in valid UTF-8, from left to right, as Regex::find_all finds them.
  std::vector<TextSpan> find_all(std::string_view text) const;

  /// The compiled pattern: the reference for the hand-written code.
  const Regex& regex() const { return regex_; }

 private:
  enum class Form : std::uint8_t { any, qwen, llama3, gpt2, digit };

  SplitPattern(Regex regex, Form form) : regex_(std::move(regex)), form_(form) {}
  static Form form_of(std::string_view pattern);

  Regex regex_;
  Form form_ = Form::any;
};

}  // namespace shine
