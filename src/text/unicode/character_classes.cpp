#include "text/unicode/character_classes.h"

#include <map>
#include <string>

#include "text/unicode/regex.h"

namespace shine {
namespace {

constexpr char32_t kCodePoints = 0x110000;

std::string all_characters() {
  std::string text;
  for (char32_t c = 0; c < kCodePoints; ++c) {
    if (c < 0xD800 || c > 0xDFFF) append_utf8(text, c);
  }
  return text;
}

}  // namespace

const CharacterClasses& CharacterClasses::get() {
  static const CharacterClasses classes;
  return classes;
}

CharacterClasses::CharacterClasses() {
  std::vector<CharacterClass> classes(kCodePoints, CharacterClass::other);
  const std::string text = all_characters();
  const auto mark = [&](const char* pattern, CharacterClass kind) {
    for (const TextSpan& run : Regex(pattern, "character classes").find_all(text)) {
      for (std::size_t at = run.begin; at < run.end;) {
        const Utf8Unit unit = next_utf8_unit(std::string_view(text).substr(at));
        classes[unit.code_point] = kind;
        at += unit.length;
      }
    }
  };
  mark(R"(\p{L}+)", CharacterClass::letter);
  mark(R"(\p{N}+)", CharacterClass::number);
  mark(R"(\s+)", CharacterClass::white_space);
  std::map<Block, std::uint16_t> known;
  for (std::size_t i = 0; i < block_of_.size(); ++i) {
    Block block;
    for (std::size_t j = 0; j < kBlock; ++j) block[j] = classes[i * kBlock + j];
    const auto [place, is_new] = known.try_emplace(block, static_cast<std::uint16_t>(blocks_.size()));
    if (is_new) blocks_.push_back(block);
    block_of_[i] = place->second;
  }
  for (std::size_t i = 0; i < ascii_.size(); ++i) ascii_[i] = classes[i];
}

}  // namespace shine
