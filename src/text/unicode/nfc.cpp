#include "text/unicode/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr char32_t kFirstCombining = 0x300;  // all before compose with nothing before them and are their own NFC
constexpr char32_t kCodePoints = 0x110000;

// Characters with a combining class or a decomposition that came after Unicode 9.0. The normaliser of `tokenizers` 0.22
// has the tables of 9.0 and leaves them unchanged; so does this one, for equal ids. (Up to Unicode 16.0.)
constexpr std::array<std::pair<char32_t, char32_t>, 44> kLaterCharacters = {{
    {0x07FD, 0x07FD},   {0x0897, 0x089F},   {0x08CA, 0x08D3},   {0x09FE, 0x09FE},   {0x0C3C, 0x0C3C},
    {0x0D3B, 0x0D3C},   {0x0EBA, 0x0EBA},   {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
    {0xA82C, 0xA82C},   {0x105C0, 0x105FF}, {0x10D24, 0x10D27}, {0x10D40, 0x10D8F}, {0x10EAB, 0x10EAC},
    {0x10EFC, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x11380, 0x113FF}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11935, 0x11938},
    {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47},
    {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42},
    {0x16100, 0x1613F}, {0x16D40, 0x16D7F}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136},
    {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF},
}};

bool is_later_character(char32_t c) {
  const auto after = std::upper_bound(kLaterCharacters.begin(), kLaterCharacters.end(), c,
                                      [](char32_t value, const auto& range) { return value < range.first; });
  return after != kLaterCharacters.begin() && c <= (after - 1)->second;
}

constexpr auto kCompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
constexpr auto kDecompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);

using CodePoints = std::vector<utf8proc_int32_t>;

int combining_class(utf8proc_int32_t c) {
  return utf8proc_get_property(c)->combining_class;
}

void append_decomposition(utf8proc_int32_t c, CodePoints& result) {
  std::array<utf8proc_int32_t, 32> parts{};
  int bound_class = 0;
  const utf8proc_ssize_t count = utf8proc_decompose_char(c, parts.data(), parts.size(), kDecompose, &bound_class);
  if (count < 0) throw Error(str("NFC normalisation failed: ", utf8proc_errmsg(count)));
  result.insert(result.end(), parts.begin(), parts.begin() + count);
}

// Sorts each run of marks by combining class; utf8proc's own way is quadratic in the run.
void reorder_marks(CodePoints& code_points) {
  const auto is_mark = [](utf8proc_int32_t c) { return combining_class(c) != 0; };
  for (auto begin = code_points.begin(); begin != code_points.end();) {
    begin = std::find_if(begin, code_points.end(), is_mark);
    const auto end = std::find_if_not(begin, code_points.end(), is_mark);
    std::stable_sort(begin, end, [](auto left, auto right) { return combining_class(left) < combining_class(right); });
    begin = end;
  }
}

std::string normalize_piece(std::string_view piece) {
  CodePoints code_points;
  while (!piece.empty()) {
    const Utf8Unit unit = next_utf8_unit(piece);
    append_decomposition(static_cast<utf8proc_int32_t>(unit.code_point), code_points);
    piece.remove_prefix(unit.length);
  }
  reorder_marks(code_points);
  const utf8proc_ssize_t count =
      utf8proc_normalize_utf32(code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()), kCompose);
  if (count < 0) throw Error(str("NFC normalisation failed: ", utf8proc_errmsg(count)));
  std::string result;
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    append_utf8(result, static_cast<char32_t>(code_points[static_cast<std::size_t>(i)]));
  }
  return result;
}

// Two facts about every code point, worked out from the decompositions.
struct NfcTables {
  std::vector<bool> joins;    // may combine with or move before characters in front of it
  std::vector<bool> changes;  // is not its own NFC
};

NfcTables make_tables() {
  NfcTables tables{std::vector<bool>(kCodePoints), std::vector<bool>(kCodePoints)};
  std::vector<std::pair<char32_t, char32_t>> decomposed;  // code point, first of its decomposition
  CodePoints parts;
  for (char32_t c = 0xA0; c < kCodePoints; ++c) {
    if ((c >= 0xD800 && c < 0xE000) || is_later_character(c)) continue;
    const auto code = static_cast<utf8proc_int32_t>(c);
    if (combining_class(code) != 0) tables.joins[c] = true;
    parts.clear();
    append_decomposition(code, parts);
    if (parts.size() == 1 && parts[0] == code) continue;
    decomposed.emplace_back(c, static_cast<char32_t>(parts[0]));
    for (std::size_t i = 1; i < parts.size(); ++i) tables.joins[static_cast<std::size_t>(parts[i])] = true;
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
    while (end < text.size() && !is_later_character(first.code_point)) {
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
