#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/unicode/utf8.h"

namespace shine {

/// The classes that the well-known split patterns tell apart, with the members that PCRE2 gives them.
enum class CharacterClass : std::uint8_t { other, letter, number, white_space };

/// The class of every character, in tables made by matching \p{L}, \p{N} and \p{White_Space} against all of them.
class CharacterClasses {
 public:
  /// Made at the first call.
  static const CharacterClasses& get();

  CharacterClass of(char32_t code_point) const { return blocks_[block_of_[code_point / kBlock]][code_point % kBlock]; }

  /// The character at `at` of valid UTF-8.
  struct Character {
    CharacterClass kind = CharacterClass::other;
    std::size_t length = 0;
  };
  Character at(std::string_view text, std::size_t at) const {
    const auto first = static_cast<unsigned char>(text[at]);
    if (first < 0x80) return {ascii_[first], 1};
    const Utf8Unit unit = valid_utf8_unit(text.data() + at);
    return {of(unit.code_point), unit.length};
  }

 private:
  static constexpr std::size_t kBlock = 256;
  using Block = std::array<CharacterClass, kBlock>;

  CharacterClasses();

  std::array<CharacterClass, 128> ascii_{};
  std::array<std::uint16_t, 0x110000 / kBlock> block_of_{};  // equal blocks are kept once
  std::vector<Block> blocks_;
};

}  // namespace shine
