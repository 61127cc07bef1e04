#pragma once

#include <span>
#include <string>
#include <string_view>

#include "shine/text/tokenizer.h"
#include "text/unicode/utf8.h"

namespace shine {

/// A text made valid UTF-8, with a map from positions in it back to the bytes as given.
class TextSource {
 public:
  /// Throws ConfigError unless the ranges are ascending and within the text. Both arguments must outlive this object.
  TextSource(std::string_view given, std::span<const TextSpan> escaped);
  TextSource(const TextSource&) = delete;
  TextSource& operator=(const TextSource&) = delete;

  /// The text, with U+FFFD for each maximal invalid part.
  std::string_view text() const { return text_; }

  /// The given bytes that a span of text() comes from.
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
