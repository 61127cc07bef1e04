#include "data/pretrain/words.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace shine {
namespace {

/// Hands out the words of a text in order.
class WordReader {
 public:
  explicit WordReader(std::string_view text) : text_(text) {}

  /// The next word; its end in the text is `position()` then.
  std::optional<std::string_view> next() {
    skip(/*whitespace=*/true);
    const std::size_t begin = position_;
    skip(/*whitespace=*/false);
    if (begin == position_) return std::nullopt;
    return text_.substr(begin, position_ - begin);
  }

  std::size_t position() const { return position_; }

 private:
  void skip(bool whitespace) {
    while (position_ < text_.size()) {
      const Utf8Unit unit = next_utf8_unit(text_.substr(position_));
      if (is_python_space(unit) != whitespace) return;
      position_ += unit.length;
    }
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

double round_half_even(double value) {
  const double below = std::floor(value);
  const double rest = value - below;
  if (rest == 0.5) return std::fmod(below, 2.0) == 0.0 ? below : below + 1.0;
  return rest < 0.5 ? below : below + 1.0;
}

}  // namespace

std::size_t count_words(std::string_view text) {
  WordReader words(text);
  std::size_t count = 0;
  while (words.next()) ++count;
  return count;
}

std::size_t words_kept(std::size_t words, double drop) {
  if (words < 2) return words;
  const double kept = round_half_even(static_cast<double>(words) * (1.0 - drop));
  return static_cast<std::size_t>(std::clamp(kept, 1.0, static_cast<double>(words - 1)));
}

std::string first_words(std::string_view text, std::size_t keep, bool collapse_whitespace) {
  WordReader words(text);
  std::string joined;
  std::size_t end = 0;
  for (std::size_t i = 0; i < keep; ++i) {
    const auto word = words.next();
    if (!word) return std::string(text);
    end = words.position();
    if (!collapse_whitespace) continue;
    if (i > 0) joined += ' ';
    joined += *word;
  }
  if (!words.next()) return std::string(text);
  return collapse_whitespace ? joined : std::string(text.substr(0, end));
}

std::string join_words(std::string_view text) {
  std::string result;
  WordReader words(text);
  while (const auto word = words.next()) {
    if (!result.empty()) result += ' ';
    result += *word;
  }
  return result;
}

bool is_blank(std::string_view text) {
  return !WordReader(text).next();
}

}  // namespace shine
