#include "eval/qa/answer_words.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "text/unicode/utf8.h"

namespace shine {
namespace {

constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kSmallSigma = 0x3C3;
constexpr char32_t kFinalSigma = 0x3C2;
constexpr char32_t kCapitalIWithDot = 0x130;
constexpr char32_t kDotAbove = 0x307;

utf8proc_category_t category_of(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_cased(char32_t c) {
  const auto category = category_of(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
}

/// Characters that do not end a word where the form of sigma is concerned (Unicode's Case_Ignorable).
bool is_case_ignorable(char32_t c) {
  constexpr std::array<char32_t, 13> in_words = {'\'',   '.',    ':',    0xB7,   0x387,  0x55F, 0x5F4,
                                                 0x2018, 0x2019, 0x2024, 0x2027, 0xFE52, 0xFF07};
  switch (category_of(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return std::find(in_words.begin(), in_words.end(), c) != in_words.end();
  }
}

/// True where a cased character stands before `at`, but none after it, ignorable ones aside.
bool ends_cased_word(const std::u32string& text, std::size_t at) {
  std::size_t before = at;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  std::size_t after = at + 1;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return after == text.size() || !is_cased(text[after]);
}

std::u32string lower_case(const std::u32string& text) {
  std::u32string lower;
  lower.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == kCapitalSigma) {
      lower += ends_cased_word(text, i) ? kFinalSigma : kSmallSigma;
    } else if (text[i] == kCapitalIWithDot) {
      lower += {U'i', kDotAbove};
    } else {
      lower += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(text[i])));
    }
  }
  return lower;
}

bool is_ascii_punctuation(char32_t c) {
  return (c > 0x20 && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || (c > 'z' && c < 0x7F);
}

/// What Python's regular expressions take for a part of a word: letters and numbers, marks not.
bool is_word_character(char32_t c) {
  const auto category = category_of(c);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

/// The four information separators are white space for Python, for Unicode they are not.
bool is_python_space(char32_t c) {
  return is_white_space(c) || (c >= 0x1C && c <= 0x1F);
}

/// Puts a space in the place of each run of word characters that is an article.
void blank_articles(std::u32string& text) {
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin;
    while (end < text.size() && is_word_character(text[end])) ++end;
    const auto run = std::u32string_view(text).substr(begin, end - begin);
    if (run == U"a" || run == U"an" || run == U"the") std::fill(&text[begin], &text[begin] + run.size(), U' ');
    begin = std::max(end, begin + 1);
  }
}

}  // namespace

std::vector<std::string> answer_words(std::string_view text) {
  const std::string valid = replace_invalid_utf8(text);
  std::u32string characters;
  for (std::size_t at = 0; at < valid.size();) {
    const Utf8Unit unit = valid_utf8_unit(valid.data() + at);
    characters += unit.code_point;
    at += unit.length;
  }
  characters = lower_case(characters);
  std::erase_if(characters, is_ascii_punctuation);
  blank_articles(characters);

  std::vector<std::string> words;
  bool within_word = false;
  for (const char32_t c : characters) {
    const bool space = is_python_space(c);
    if (!space && !within_word) words.emplace_back();
    if (!space) append_utf8(words.back(), c);
    within_word = !space;
  }
  return words;
}

}  // namespace shine
