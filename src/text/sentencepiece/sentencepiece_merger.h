#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "text/sentencepiece/sentencepiece_model.h"

namespace shine {

/// The bytes of the character that begins with this byte, as sentencepiece counts them.
inline std::size_t lead_byte_length(char first) {
  constexpr std::string_view lengths = "\1\1\1\1\1\1\1\1\1\1\1\1\2\2\3\4";
  return static_cast<std::size_t>(lengths[static_cast<unsigned char>(first) >> 4]);
}

/// Byte-pair encoding by scores: neighbours whose concatenation is the piece of the highest score are merged first,
/// among equals the leftmost; merges to unused pieces are undone at the end.
std::vector<PieceToken> merge_pieces(std::string_view text, const SentencePieceData& data, const PieceIndex& index,
                                     const StringTrie& symbols);

}  // namespace shine
