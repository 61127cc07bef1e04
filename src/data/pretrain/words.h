#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/unicode/utf8.h"

namespace shine {

/// Number of words: runs of non-white-space characters, as Python's str.split() sees them (Unicode).
std::size_t count_words(std::string_view text);

/// How many of `words` words completion keeps if it drops the share `drop`: round-half-even(words * (1 - drop)), at
/// least one kept and at least one dropped; all of them where there are fewer than two (paper section 4).
std::size_t words_kept(std::size_t words, double drop);

/// The first `keep` words of the text, up to the end of the last of them, with the spacing of the text, or joined by
/// single spaces when `collapse_whitespace`. Returns the text as it is when it has no more than `keep` words.
std::string first_words(std::string_view text, std::size_t keep, bool collapse_whitespace);

/// All words of the text joined by single spaces.
std::string join_words(std::string_view text);

/// True for a text without a word.
bool is_blank(std::string_view text);

}  // namespace shine
