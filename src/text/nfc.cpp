#include "text/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr char32_t kFirstCombining = 0x300;  // all before compose with nothing before them and are their own NFC
constexpr char32_t kCodePoints = 0x110000;

struct FreeBytes {
  void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); }
};

std::string normalize_piece(std::string_view piece) {
  utf8proc_uint8_t* raw = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const utf8proc_ssize_t length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(piece.data()),
                                               static_cast<utf8proc_ssize_t>(piece.size()), &raw, options);
  const std::unique_ptr<utf8proc_uint8_t, FreeBytes> owner(raw);
  if (length < 0) throw Error(str("NFC normalisation failed: ", utf8proc_errmsg(length)));
  return {reinterpret_cast<const char*>(raw), static_cast<std::size_t>(length)};
}

// Two facts about every code point, worked out from the decompositions.
struct NfcTables {
  std::vector<bool> joins;    // may combine with or move before characters in front of it
  std::vector<bool> changes;  // is not its own NFC
};

NfcTables make_tables() {
  NfcTables tables{std::vector<bool>(kCodePoints), std::vector<bool>(kCodePoints)};
  std::vector<std::pair<char32_t, char32_t>> decomposed;  // code point, first of its decomposition
  for (char32_t c = 0xA0; c < kCodePoints; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const auto code = static_cast<utf8proc_int32_t>(c);
    if (utf8proc_get_property(code)->combining_class != 0) tables.joins[c] = true;
    std::array<utf8proc_int32_t, 32> parts{};
    int bound_class = 0;
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    const utf8proc_ssize_t count = utf8proc_decompose_char(code, parts.data(), parts.size(), options, &bound_class);
    if (count == 1 && parts[0] == code) continue;
    decomposed.emplace_back(c, static_cast<char32_t>(parts[0]));
    for (utf8proc_ssize_t i = 1; i < count; ++i) tables.joins[static_cast<std::size_t>(parts[i])] = true;
  }
  for (const auto& [c, first] : decomposed) {
    if (tables.joins[first]) tables.joins[c] = true;
    std::string alone;
    append_utf8(alone, c);
    tables.changes[c] = normalize_piece(alone) != alone;
  }
  return tables;
}

const NfcTables& nfc_tables() {
  static const NfcTables tables = make_tables();
  return tables;
}

bool is_boundary(char32_t c) {
  return c < kFirstCombining || !nfc_tables().joins[c];
}

// Bytes at the start and end of both texts that are the same, in whole characters.
struct CommonEnds {
  std::size_t front;
  std::size_t back;
};

CommonEnds common_ends(std::string_view before, std::string_view after) {
  const std::size_t shorter = std::min(before.size(), after.size());
  std::size_t front = 0;
  while (front < shorter && before[front] == after[front]) ++front;
  front = std::min(whole_characters(before, {front, front}).begin, whole_characters(after, {front, front}).begin);
  std::size_t back = 0;
  while (back < shorter - front && before[before.size() - 1 - back] == after[after.size() - 1 - back]) ++back;
  while (back > 0 && (static_cast<unsigned char>(before[before.size() - back]) & 0xC0) == 0x80) --back;
  return {front, back};
}

void append_piece(std::string_view text, TextSpan piece, NormalizedText& result) {
  const std::string_view before = text.substr(piece.begin, piece.end - piece.begin);
  const std::string after = normalize_piece(before);
  if (after != before) {
    const auto [front, back] = common_ends(before, after);
    const std::size_t start = result.text.size();
    result.offsets.add_edit({start + front, start + after.size() - back}, {piece.begin + front, piece.end - back});
  }
  result.text += after;
}

}  // namespace

bool is_plainly_nfc(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const Utf8Unit unit = next_utf8_unit(text.substr(at));
    if (unit.code_point >= kFirstCombining && (!is_boundary(unit.code_point) || nfc_tables().changes[unit.code_point]))
      return false;
    at += unit.length;
  }
  return true;
}

NormalizedText normalize_nfc(std::string_view text) {
  NormalizedText result;
  result.text.reserve(text.size());
  for (std::size_t begin = 0; begin < text.size();) {
    const Utf8Unit first = next_utf8_unit(text.substr(begin));
    std::size_t end = begin + first.length;
    while (end < text.size()) {
      const Utf8Unit unit = next_utf8_unit(text.substr(end));
      if (is_boundary(unit.code_point)) break;
      end += unit.length;
    }
    const bool alone = end == begin + first.length;
    if (alone && (first.code_point < kFirstCombining || !nfc_tables().changes[first.code_point])) {
      result.text.append(text, begin, end - begin);
    } else {
      append_piece(text, {begin, end}, result);
    }
    begin = end;
  }
  return result;
}

}  // namespace shine
