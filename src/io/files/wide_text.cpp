#include "io/files/wide_text.h"

namespace shine {
namespace {

constexpr char kDamaged = '\xff';

bool is_high(char32_t unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low(char32_t unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

char32_t unit_at(WideEncoding encoding, std::string_view bytes, std::size_t at) {
  char32_t unit = 0;
  for (std::size_t i = 0; i < encoding.unit_bytes; ++i) {
    const std::size_t place = encoding.big_endian ? encoding.unit_bytes - 1 - i : i;
    unit |= static_cast<char32_t>(static_cast<unsigned char>(bytes[at + place])) << (8 * i);
  }
  return unit;
}

void append_character(std::string& text, char32_t c) {
  const auto add = [&text](char32_t byte) { text += static_cast<char>(byte); };
  const auto add_rest = [&](int shift) { add(0x80 | (c >> shift & 0x3F)); };
  if (is_high(c) || is_low(c) || c > 0x10FFFF) {
    text += kDamaged;
  } else if (c < 0x80) {
    add(c);
  } else if (c < 0x800) {
    add(0xC0 | c >> 6);
    add_rest(0);
  } else if (c < 0x10000) {
    add(0xE0 | c >> 12);
    add_rest(6);
    add_rest(0);
  } else {
    add(0xF0 | c >> 18);
    add_rest(12);
    add_rest(6);
    add_rest(0);
  }
}

}  // namespace

std::size_t append_wide_text(WideEncoding encoding, std::string_view bytes, bool at_end, std::string& text) {
  const std::size_t unit_bytes = encoding.unit_bytes;
  std::size_t at = 0;
  while (bytes.size() - at >= unit_bytes) {
    char32_t character = unit_at(encoding, bytes, at);
    std::size_t taken = unit_bytes;
    if (unit_bytes == 2 && is_high(character)) {
      const bool has_next = bytes.size() - at >= 2 * unit_bytes;
      if (!has_next && !at_end) break;
      const char32_t next = has_next ? unit_at(encoding, bytes, at + unit_bytes) : 0;
      if (is_low(next)) {
        character = 0x10000 + ((character - 0xD800) << 10) + (next - 0xDC00);
        taken = 2 * unit_bytes;
      }
    }
    append_character(text, character);
    at += taken;
  }
  if (at_end && at < bytes.size()) {
    text += kDamaged;
    at = bytes.size();
  }
  return at;
}

}  // namespace shine
