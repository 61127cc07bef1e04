#include "text/unicode/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace shine {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

unsigned byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

// Length of the sequence that a lead byte announces (0: not a lead byte) and the range of its second byte.
struct Lead {
  std::size_t length;
  unsigned low;
  unsigned high;
};

Lead read_lead(unsigned byte) {
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

bool is_continuation(unsigned byte) {
  return (byte & 0xC0) == 0x80;
}

// How many bytes at the start are ASCII, looking at eight at a time.
std::size_t ascii_length(std::string_view bytes) {
  std::size_t at = 0;
  for (std::uint64_t block = 0; at + sizeof block <= bytes.size(); at += sizeof block) {
    std::memcpy(&block, bytes.data() + at, sizeof block);
    if ((block & 0x8080808080808080U) != 0) break;
  }
  while (at < bytes.size() && byte_at(bytes, at) < 0x80) ++at;
  return at;
}

}  // namespace

TextSpan OffsetMap::to_source(TextSpan written) const {
  if (edits_.empty()) return written;
  const auto move = [&](std::size_t position, bool is_end) {
    // The first edit that starts after the position; the one before it holds the position or lies before it.
    const auto after = std::upper_bound(edits_.begin(), edits_.end(), position,
                                        [](std::size_t value, const Edit& edit) { return value < edit.written.begin; });
    if (after == edits_.begin()) return position;
    const Edit& edit = *(after - 1);
    if (position < edit.written.end) return is_end ? edit.source.end - 1 : edit.source.begin;
    return edit.source.end + (position - edit.written.end);
  };
  const std::size_t begin = move(written.begin, false);
  return {begin, written.end > written.begin ? move(written.end - 1, true) + 1 : begin};
}

Utf8Unit next_utf8_unit(std::string_view bytes) {
  using Kind = Utf8Unit::Kind;
  const unsigned first = byte_at(bytes, 0);
  if (first < 0x80) return {Kind::character, 1, first};
  const Lead lead = read_lead(first);
  if (lead.length == 0) return {Kind::invalid, 1, 0};
  char32_t code_point = first & (0xFFU >> (lead.length + 1));
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (i == bytes.size()) return {Kind::truncated, i, 0};
    const unsigned byte = byte_at(bytes, i);
    const bool fits = i == 1 ? byte >= lead.low && byte <= lead.high : is_continuation(byte);
    if (!fits) return {Kind::invalid, i, 0};
    code_point = (code_point << 6) | (byte & 0x3F);
  }
  return {Kind::character, lead.length, code_point};
}

Utf8Unit previous_character(std::string_view text, std::size_t end) {
  std::size_t begin = end - 1;
  while (begin > 0 && is_continuation(byte_at(text, begin))) --begin;
  return next_utf8_unit(text.substr(begin, end - begin));
}

TextSpan whole_characters(std::string_view text, TextSpan span) {
  while (span.begin > 0 && span.begin < text.size() && is_continuation(byte_at(text, span.begin))) --span.begin;
  while (span.end > span.begin && span.end < text.size() && is_continuation(byte_at(text, span.end))) ++span.end;
  return span;
}

bool is_valid_utf8(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    if (byte_at(bytes, at) < 0x80) {
      at += ascii_length(bytes.substr(at));
      continue;
    }
    const Utf8Unit unit = next_utf8_unit(bytes.substr(at));
    if (unit.kind != Utf8Unit::Kind::character) return false;
    at += unit.length;
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view bytes, OffsetMap* offsets) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const Utf8Unit unit = next_utf8_unit(bytes.substr(at));
    if (unit.kind == Utf8Unit::Kind::character) {
      text.append(bytes, at, unit.length);
    } else {
      if (offsets) offsets->add_edit({text.size(), text.size() + kReplacement.size()}, {at, at + unit.length});
      text += kReplacement;
    }
    at += unit.length;
  }
  return text;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  const auto put_rest = [&](int shift) { put(0x80 | ((code_point >> shift) & 0x3F)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | (code_point >> 6));
    put_rest(0);
  } else if (code_point < 0x10000) {
    put(0xE0 | (code_point >> 12));
    put_rest(6);
    put_rest(0);
  } else {
    put(0xF0 | (code_point >> 18));
    put_rest(12);
    put_rest(6);
    put_rest(0);
  }
}

bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_python_space(const Utf8Unit& unit) {
  if (unit.kind != Utf8Unit::Kind::character) return false;
  return is_white_space(unit.code_point) || (unit.code_point >= 0x1C && unit.code_point <= 0x1F);
}

std::string_view trim_whitespace(std::string_view text) {
  while (!text.empty()) {
    const Utf8Unit first = next_utf8_unit(text);
    if (!is_python_space(first)) break;
    text.remove_prefix(first.length);
  }
  while (!text.empty()) {
    std::size_t begin = text.size() - 1;
    while (begin > 0 && is_continuation(byte_at(text, begin))) --begin;
    const Utf8Unit last = next_utf8_unit(text.substr(begin));
    if (!is_python_space(last) || begin + last.length != text.size()) break;
    text.remove_suffix(last.length);
  }
  return text;
}

}  // namespace shine
