#include "bench/tokenizer_texts.h"

#include <random>

#include "text/unicode/utf8.h"

namespace shine::bench {
namespace {

std::string repeat(std::string_view unit, std::size_t bytes) {
  std::string text;
  text.reserve(bytes + unit.size());
  while (text.size() < bytes) text += unit;
  return text;
}

std::string random_bytes(std::size_t bytes) {
  std::mt19937_64 random(1);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return replace_invalid_utf8(text);
}

// Letters without a space: one word for a pattern that takes all letters.
std::string random_letters(std::size_t bytes) {
  std::mt19937_64 random(2);
  std::string text(bytes, 'a');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

}  // namespace

std::size_t TextSet::bytes() const {
  std::size_t sum = 0;
  for (const std::string& text : texts) sum += text.size();
  return sum;
}

std::vector<std::string> cut_documents(std::string_view text, std::size_t bytes) {
  std::vector<std::string> documents;
  while (!text.empty()) {
    const std::size_t line_end = bytes < text.size() ? text.find('\n', bytes) : std::string_view::npos;
    const std::size_t size = line_end == std::string_view::npos ? text.size() : line_end + 1;
    documents.emplace_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return documents;
}

std::vector<TextSet> hard_texts(std::size_t bytes) {
  struct Unit {
    const char* name;
    std::string_view unit;
  };
  constexpr Unit units[] = {
      {"one letter", "a"},
      {"one capital letter", "A"},
      {"'ab' repeated", "ab"},
      {"one digit", "7"},
      {"spaces", " "},
      {"tabs", "\t"},
      {"newlines", "\n"},
      {"carriage returns and newlines", "\r\n"},
      {"spaces and newlines", "   \n"},
      {"no-break spaces", "\u00a0"},
      {"one sign", "!"},
      {"letter and sign", "a."},
      {"apostrophes", "'"},
      {"contractions", "'s"},
      {"one emoji", "\U0001f600"},
      {"joined emoji", "\U0001f468\u200d\U0001f469\u200d\U0001f467"},
      {"one CJK character", "\u4e2d"},
      {"one Hangul syllable, decomposed", "\u1100\u1161\u11a8"},
      {"combining marks", "\u0301"},
      {"combining marks out of order", "\u0301\u0323"},
      {"letters with marks", "e\u0301"},
      {"added tokens", "<|im_start|>"},
      {"starts of added tokens", "<"},
      {"cut added tokens", "<|im_start"},
      {"zero bytes", std::string_view("\0", 1)},
  };
  std::vector<TextSet> sets;
  for (const auto& [name, unit] : units) sets.push_back({name, {repeat(unit, bytes)}});
  sets.push_back({"spaces before a letter", {std::string(bytes, ' ') + 'a'}});
  sets.push_back({"random letters", {random_letters(bytes)}});
  sets.push_back({"random bytes", {random_bytes(bytes)}});
  return sets;
}

}  // namespace shine::bench
