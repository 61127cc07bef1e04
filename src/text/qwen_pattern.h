#pragma once

#include <string_view>

namespace shine {

/// The split pattern of the Qwen tokenizers: contractions, words with at most one sign before them, single digits,
/// signs, line ends, white space.
inline constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace shine
