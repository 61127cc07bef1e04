#include "data/pretrain/text_pieces.h"

#include <algorithm>
#include <cstddef>

#include "shine/common/error.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

bool is_space(const Utf8Unit& unit) {
  return unit.kind == Utf8Unit::Kind::character && is_white_space(unit.code_point);
}

/// Ends a sentence where white space follows.
bool is_stop(char32_t character) {
  return std::u32string_view(U".!?\u2026\u061F\u06D4\u0964\u0965").find(character) != std::u32string_view::npos;
}

/// Ends a sentence whatever follows.
bool is_full_width_stop(char32_t character) {
  return std::u32string_view(U"\u3002\uFF01\uFF1F").find(character) != std::u32string_view::npos;
}

/// May stand between a stop and the end of its sentence.
bool is_closing(char32_t character) {
  return std::u32string_view(U"\"')]}\u00BB\u2019\u201D\u300D\u300F\uFF09").find(character) !=
         std::u32string_view::npos;
}

/// Where a text may be cut: byte positions right behind a character that is no white space, ascending.
struct CutPlaces {
  std::vector<std::size_t> words;      ///< ends of words, those of lines and sentences too
  std::vector<std::size_t> sentences;  ///< ends of lines and sentences
  std::size_t last = 0;                ///< the end of the last word
};

CutPlaces find_cut_places(std::string_view text) {
  CutPlaces places;
  enum class Behind { word, stop, full_width_stop } behind = Behind::word;
  std::size_t word_end = 0;
  bool in_space = true, has_line_end = false;
  const auto close_word = [&] {
    if (word_end == 0) return;
    places.words.push_back(word_end);
    if (has_line_end || behind != Behind::word) places.sentences.push_back(word_end);
  };
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Unit unit = next_utf8_unit(text.substr(at));
    if (is_space(unit)) {
      in_space = true;
      has_line_end = has_line_end || unit.code_point == U'\n' || unit.code_point == U'\u2028';
    } else {
      if (in_space) {
        close_word();
        behind = Behind::word;
      }
      const char32_t character = unit.kind == Utf8Unit::Kind::character ? unit.code_point : 0;
      const bool continues = behind != Behind::word && is_closing(character);
      if (behind == Behind::full_width_stop && !continues && !is_full_width_stop(character) && !in_space) {
        places.sentences.push_back(at);
      }
      in_space = has_line_end = false;
      if (is_full_width_stop(character)) {
        behind = Behind::full_width_stop;
      } else if (is_stop(character)) {
        behind = Behind::stop;
      } else if (!continues) {
        behind = Behind::word;
      }
      word_end = at + unit.length;
    }
    at += unit.length;
  }
  places.last = word_end;
  return places;
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Utf8Unit unit = next_utf8_unit(text.substr(at));
    if (!is_space(unit)) break;
    at += unit.length;
  }
  return at;
}

/// The last place in (after, limit]; 0 where there is none.
std::size_t last_place(const std::vector<std::size_t>& places, std::size_t after, std::size_t limit) {
  const auto behind = std::upper_bound(places.begin(), places.end(), limit);
  return behind != places.begin() && *(behind - 1) > after ? *(behind - 1) : 0;
}

/// Cuts one text.
class TextSplitter {
 public:
  TextSplitter(std::string_view text, std::int64_t room, const Tokenizer& tokenizer, SpecialTokens treatment)
      : text_(text), room_(static_cast<std::size_t>(room)), tokenizer_(tokenizer), treatment_(treatment) {
    offsets_ = tokenizer.encode(text, treatment).offsets;
  }

  bool fits_whole() const { return offsets_.size() <= room_ || skip_space(text_, 0) == text_.size(); }

  std::vector<std::string> split() {
    places_ = find_cut_places(text_);
    text_ = text_.substr(0, places_.last);
    std::vector<std::string> pieces;
    for (std::size_t begin = skip_space(text_, 0); begin < text_.size();) {
      const std::size_t end = piece_end(begin);
      pieces.emplace_back(text_.substr(begin, end - begin));
      begin = skip_space(text_, end);
    }
    return pieces;
  }

 private:
  std::size_t tokens(std::size_t begin, std::size_t end) const {
    return tokenizer_.encode(text_.substr(begin, end - begin), treatment_).ids.size();
  }

  /// By the tokens of the whole text; a piece by itself may have more of them, and then gets a smaller share.
  std::size_t piece_end(std::size_t begin) const {
    const auto is_before = [](const TextSpan& token, std::size_t position) { return token.begin < position; };
    const auto first = std::lower_bound(offsets_.begin(), offsets_.end(), begin, is_before);
    const auto left = static_cast<std::size_t>(offsets_.end() - first);
    for (std::size_t share = std::min(room_, left); share > 0;) {
      const std::size_t limit = share == left ? text_.size() : (first + static_cast<std::ptrdiff_t>(share))->begin;
      const std::size_t end = best_end(begin, std::min(limit, text_.size()));
      if (end <= begin) break;
      const std::size_t found = tokens(begin, end);
      if (found <= room_) return end;
      share -= std::min(share, found - room_);
    }
    return begin + next_utf8_unit(text_.substr(begin)).length;
  }

  std::size_t best_end(std::size_t begin, std::size_t limit) const {
    if (limit == text_.size()) return limit;
    if (const std::size_t end = last_place(places_.sentences, begin, limit); end > 0) return end;
    if (const std::size_t end = last_place(places_.words, begin, limit); end > 0) return end;
    const auto continues = [&](std::size_t at) { return (static_cast<unsigned char>(text_[at]) & 0xC0U) == 0x80U; };
    while (limit > begin && continues(limit)) --limit;
    return limit;
  }

  std::string_view text_;
  std::size_t room_;
  const Tokenizer& tokenizer_;
  SpecialTokens treatment_;
  std::vector<TextSpan> offsets_;
  CutPlaces places_;
};

}  // namespace

std::vector<std::string> split_text(std::string_view text, std::int64_t room, const Tokenizer& tokenizer,
                                    SpecialTokens treatment) {
  SHINE_CHECK(room > 0, ConfigError, "texts cannot be split into pieces of ", room, " tokens");
  TextSplitter splitter(text, room, tokenizer, treatment);
  if (splitter.fits_whole()) return {std::string(text)};
  return splitter.split();
}

}  // namespace shine
