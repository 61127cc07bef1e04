#pragma once

#include <span>
#include <string>
#include <string_view>

#include "shine/text/tokenizer.h"
#include "text/unicode/utf8.h"

namespace shine {

/// A text as given, on its way to tokens: made valid UTF-8, with a way back from the stages' positions to its bytes.
class TextSource {
 public:
  /// Throws ConfigError unless the ranges are ascending and within the text. Both arguments must outlive this object.
  TextSource(std::string_view given, std::span<const TextSpan> escaped);
  TextSource(const TextSource&) = delete;
  TextSource& operator=(const TextSource&) = delete;

  /// The text, with U+FFFD for each maximal invalid part.
  std::string_view text() const { return text_; }

  /// The given bytes behind a span of text().
  TextSpan original(TextSpan span) const { return repairs_.to_source(span); }

  /// True where a span of text() overlaps one of the escaped ranges.
  bool is_escaped(TextSpan span) const;

 private:
  std::span<const TextSpan> escaped_;
  OffsetMap repairs_;
  std::string repaired_;
  std::string_view text_;
};

}  // namespace shine
