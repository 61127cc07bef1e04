#pragma once

#include <optional>
#include <string_view>

#include "io/files/wide_text.h"

namespace shine {

/// What the first bytes of a file say about its text.
struct TextStart {
  std::size_t mark_bytes = 0;             ///< of its byte order mark
  std::optional<WideEncoding> wide = {};  ///< UTF-16 or UTF-32 by that mark
};

TextStart read_text_start(std::string_view head);

/// A fault and its cure, by the first bytes of what is no text.
struct NoText {
  std::string_view what;
  std::string_view cure;
  std::size_t line = 0;  ///< of the fault, from 1; 0: the file as a whole
};

/// Packed and binary files by their signatures, and zero bytes, which no UTF-8 text holds. UTF-16 and UTF-32 without a
/// byte order mark are among the latter.
std::optional<NoText> find_no_text(std::string_view head);

}  // namespace shine
