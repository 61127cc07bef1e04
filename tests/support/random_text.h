#pragma once

#include <array>
#include <random>
#include <string>

#include "text/unicode/utf8.h"

namespace shine::test {

/// Up to 40 characters in short runs of one kind: letters, digits, signs, white space, marks, pieces of contractions.
inline std::string random_text(std::mt19937& random) {
  constexpr std::array<std::u32string_view, 12> pools = {U"abstrevlmdSTREVLMD",
                                                         U"\u017F\u212A\u00E9\u0416\u4E2D\uAC00\u0E01\u00AA\U00010400",
                                                         U"0123456789",
                                                         U"\u0661\u00BD\u2167\u00B2\U0001D7D8",
                                                         U".,!?-_<|>=+",
                                                         U"''\u2019",
                                                         U" ",
                                                         U" \t\u00A0\u3000\u2028\x0B\x85\u180E",
                                                         U"\r\n",
                                                         U"\u0301\u0E33\u09BE\u200D\u20E3",
                                                         U"\U0001F600\u2764\uFE0F\uFFFD\uE000\x01\x7F",
                                                         U"  \n a1'."};
  std::string text;
  for (unsigned runs = random() % 10; runs > 0; --runs) {
    const std::u32string_view pool = pools[random() % pools.size()];
    for (unsigned count = 1 + random() % 4; count > 0; --count) append_utf8(text, pool[random() % pool.size()]);
  }
  return text;
}

}  // namespace shine::test
