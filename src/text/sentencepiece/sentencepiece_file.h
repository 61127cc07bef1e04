#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shine {

/// Numbered as in sentencepiece's format.
enum class PieceType { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct SentencePiece {
  std::string text;  // with U+2581 for spaces
  float score = 0;
  PieceType type = PieceType::normal;
};

/// How a text is rewritten before it is cut into pieces.
struct SentencePieceRules {
  std::vector<std::uint32_t> trie;  // a double-array trie (darts-clone) of the strings to be replaced; may be empty
  std::string replacements;         // what they become, each ended by a zero byte; the trie's values are places here
  bool dummy_prefix = true;         // a space is put before the text
  bool remove_extra_spaces = true;  // at both ends, and of several in a row all but one
};

enum class SentencePieceKind { unigram = 1, bpe = 2 };

/// The content of a sentencepiece model. A piece's id is its index.
struct SentencePieceData {
  SentencePieceKind kind = SentencePieceKind::unigram;
  std::vector<SentencePiece> pieces;
  std::int32_t unknown = 0;
  bool byte_fallback = false;
  std::array<std::int32_t, 256> bytes{};  // ids of the byte pieces, with byte_fallback
  std::string unknown_text = " \u2047 ";
  SentencePieceRules rules;
};

/// Reads a .model file. Throws IoError, FormatError (not a sentencepiece model; pieces empty, equal, over 4096 bytes or
/// not UTF-8; scores not finite; no or two unknown pieces; byte pieces missing), UnsupportedError (word and character
/// models, white space as suffix, spaces that stay spaces, a denormalizer).
SentencePieceData read_sentencepiece_file(const std::filesystem::path& path);

}  // namespace shine
