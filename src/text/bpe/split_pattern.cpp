#include "text/bpe/split_pattern.h"

#include "text/bpe/known_patterns.h"
#include "text/unicode/character_classes.h"

namespace shine {
namespace {

constexpr std::string_view kLongS = "\u017F";  // the only other character that is an 's' when case does not count

bool is_line_end(char c) {
  return c == '\r' || c == '\n';
}

// Where the matches of the patterns in known_patterns.h end. Alternatives are tried in the patterns' order; all three
// word patterns match something at every place.
class WordScanner {
 public:
  explicit WordScanner(std::string_view text) : text_(text) {}

  // Qwen's pattern, or Llama 3's with three digits.
  std::size_t qwen_end(std::size_t at, int digits) const {
    const char first = text_[at];
    if (first == '\'') {
      if (const std::size_t length = contraction(at + 1, /*any_case=*/true)) return at + 1 + length;
    }
    const auto [kind, length] = classes_.at(text_, at);
    const std::size_t next = at + length;
    if (kind == CharacterClass::letter) return run_end(CharacterClass::letter, next);
    if (kind == CharacterClass::number) return run_end(CharacterClass::number, next, digits - 1);
    const CharacterClass following = kind_at(next);
    if (following == CharacterClass::letter && !is_line_end(first)) return run_end(CharacterClass::letter, next);
    const bool spaced = first == ' ' && next < text_.size() && following == CharacterClass::other;
    if (kind == CharacterClass::white_space && !spaced) return white_space_end(at, /*to_line_end=*/true);
    std::size_t end = run_end(CharacterClass::other, next);
    while (end < text_.size() && is_line_end(text_[end])) ++end;
    return end;
  }

  std::size_t gpt2_end(std::size_t at) const {
    if (text_[at] == '\'') {
      if (const std::size_t length = contraction(at + 1, /*any_case=*/false)) return at + 1 + length;
    }
    const auto [kind, length] = classes_.at(text_, at);
    if (kind != CharacterClass::white_space) return run_end(kind, at + length);
    const bool spaced = text_[at] == ' ' && at + 1 < text_.size() && kind_at(at + 1) != CharacterClass::white_space;
    if (spaced) return run_end(kind_at(at + 1), at + 1);
    return white_space_end(at, /*to_line_end=*/false);
  }

  // Each number character by itself.
  std::vector<TextSpan> digits() const {
    std::vector<TextSpan> matches;
    for (std::size_t at = 0; at < text_.size();) {
      const auto [kind, length] = classes_.at(text_, at);
      if (kind == CharacterClass::number) matches.push_back({at, at + length});
      at += length;
    }
    return matches;
  }

 private:
  CharacterClass kind_at(std::size_t at) const {
    return at < text_.size() ? classes_.at(text_, at).kind : CharacterClass::other;
  }

  // The end of the characters of one kind, at most `limit` of them.
  std::size_t run_end(CharacterClass kind, std::size_t at) const {
    while (at < text_.size()) {
      const auto [found, length] = classes_.at(text_, at);
      if (found != kind) break;
      at += length;
    }
    return at;
  }
  std::size_t run_end(CharacterClass kind, std::size_t at, int limit) const {
    for (; limit > 0 && at < text_.size(); --limit) {
      const auto [found, length] = classes_.at(text_, at);
      if (found != kind) break;
      at += length;
    }
    return at;
  }

  // The length of s, t, re, ve, m, ll or d; 0 for anything else.
  std::size_t contraction(std::size_t at, bool any_case) const {
    const std::string_view rest = text_.substr(at);
    const auto letter = [&](std::size_t i) {
      if (i >= rest.size()) return '\0';
      const char c = rest[i];
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    switch (letter(0)) {
      case 's':
      case 't':
      case 'm':
      case 'd': return 1;
      case 'r':
      case 'v': return letter(1) == 'e' ? 2 : 0;
      case 'l': return letter(1) == 'l' ? 2 : 0;
      default: return any_case && rest.starts_with(kLongS) ? kLongS.size() : 0;
    }
  }

  // White space to its last line end where that counts; else all of it at the end of the text, all but its last
  // character before something else, or that character itself.
  std::size_t white_space_end(std::size_t at, bool to_line_end) const {
    std::size_t end = at;
    std::size_t last = at;        // start of the last character
    std::size_t after_line = at;  // after the last line end
    while (end < text_.size()) {
      const auto [kind, length] = classes_.at(text_, end);
      if (kind != CharacterClass::white_space) break;
      last = end;
      end += length;
      if (is_line_end(text_[last])) after_line = end;
    }
    if (to_line_end && after_line > at) return after_line;
    return end == text_.size() || last == at ? end : last;
  }

  std::string_view text_;
  const CharacterClasses& classes_ = CharacterClasses::get();
};

template <class End>
std::vector<TextSpan> cut_all(std::string_view text, End end) {
  std::vector<TextSpan> matches;
  matches.reserve(text.size() / 4 + 1);
  for (std::size_t at = 0; at < text.size();) {
    matches.push_back({at, end(at)});
    at = matches.back().end;
  }
  return matches;
}

}  // namespace

SplitPattern::Form SplitPattern::form_of(std::string_view pattern) {
  if (pattern == kQwenPattern) return Form::qwen;
  if (pattern == kLlama3Pattern) return Form::llama3;
  if (pattern == kGpt2Pattern) return Form::gpt2;
  if (pattern == kDigitPattern) return Form::digit;
  return Form::any;
}

SplitPattern::SplitPattern(std::string_view pattern, const std::string& where)
    : SplitPattern(Regex(pattern, where), form_of(pattern)) {}

SplitPattern SplitPattern::literal(std::string_view text, const std::string& where) {
  return {Regex::literal(text, where), Form::any};
}

std::vector<TextSpan> SplitPattern::find_all(std::string_view text) const {
  if (form_ == Form::any) return regex_.find_all(text);
  const WordScanner scanner(text);
  switch (form_) {
    case Form::qwen: return cut_all(text, [&](std::size_t at) { return scanner.qwen_end(at, 1); });
    case Form::llama3: return cut_all(text, [&](std::size_t at) { return scanner.qwen_end(at, 3); });
    case Form::gpt2: return cut_all(text, [&](std::size_t at) { return scanner.gpt2_end(at); });
    default: return scanner.digits();
  }
}

}  // namespace shine
