#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "shine/text/tokenizer.h"

namespace shine {

/// Where the bytes of a rewritten text come from. Between edits both texts run in step.
class OffsetMap {
 public:
  /// `written` of the new text replaced `source` of the old one; edits come in order and are not empty.
  void add_edit(TextSpan written, TextSpan source) { edits_.push_back({written, source}); }

  /// The bytes of the old text that a span of the new one comes from; an edit counts as a whole.
  TextSpan to_source(TextSpan written) const;

  bool is_identity() const { return edits_.empty(); }

 private:
  struct Edit {
    TextSpan written;
    TextSpan source;
  };
  std::vector<Edit> edits_;
};

/// The unit at the start of some bytes.
struct Utf8Unit {
  enum class Kind {
    character,
    invalid,    // a maximal part that no continuation can make a character
    truncated,  // the bytes end within a character
  };
  Kind kind = Kind::character;
  std::size_t length = 0;
  char32_t code_point = 0;  // of a character
};

/// Reads the first unit of `bytes`, which are not empty.
Utf8Unit next_utf8_unit(std::string_view bytes);

/// The character at the start of valid UTF-8.
inline Utf8Unit valid_utf8_unit(const char* text) {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const auto kind = Utf8Unit::Kind::character;
  const char32_t first = byte(0);
  if (first < 0x80) return {kind, 1, first};
  if (first < 0xE0) return {kind, 2, (first & 0x1F) << 6 | (byte(1) & 0x3F)};
  if (first < 0xF0) return {kind, 3, (first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)};
  return {kind, 4, (first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F)};
}

/// The character that ends before `end` of a valid text; `end` > 0.
Utf8Unit previous_character(std::string_view text, std::size_t end);

/// The span widened to whole characters of a valid text.
TextSpan whole_characters(std::string_view text, TextSpan span);

/// True if all bytes form valid UTF-8.
bool is_valid_utf8(std::string_view bytes);

/// The bytes with every maximal invalid part replaced by U+FFFD (Unicode 15, section 3.9; Python's errors="replace").
std::string replace_invalid_utf8(std::string_view bytes, OffsetMap* offsets = nullptr);

void append_utf8(std::string& text, char32_t code_point);

/// The property White_Space.
bool is_white_space(char32_t code_point);

/// Whether Python's str.isspace() holds: the property, and the four information separators U+001C to U+001F.
bool is_python_space(const Utf8Unit& unit);

/// `text` without such white space at both ends, as str.strip() returns it.
std::string_view trim_whitespace(std::string_view text);

}  // namespace shine
