#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shine/text/tokenizer.h"

namespace shine {

/// Consecutive pieces of a text that have at most `room` tokens each, as many in each as fit; a text that fits, or is
/// blank, is the only piece. A piece ends at the last end of a line or sentence that fits; where there is none, after
/// the last word; where not even a word fits, between two characters. White space around the pieces is in none, all
/// else is. (A single character of more than `room` tokens is a piece all the same.) Throws
/// ConfigError unless `room` is positive.
std::vector<std::string> split_text(std::string_view text, std::int64_t room, const Tokenizer& tokenizer,
                                    SpecialTokens treatment);

}  // namespace shine
