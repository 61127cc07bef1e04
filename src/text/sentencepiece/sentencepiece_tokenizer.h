#pragma once

#include <filesystem>
#include <unordered_map>

#include "text/sentencepiece/sentencepiece_model.h"
#include "text/sentencepiece/sentencepiece_normalizer.h"
#include "text/tokens_beside.h"
#include "text/vocabulary_tokenizer.h"

namespace shine {

/// A sentencepiece model (unigram or BPE, with or without byte fallback). Ids and decoded texts equal those of the
/// Python package `sentencepiece` 0.2 without its optional symbols for begin and end; a text between two added tokens
/// is encoded as a text of its own, with the space that the model puts before each text.
///
/// Added tokens come from the files beside the model (tokens_beside.h), as in Hugging Face's tokenizers that read such
/// models. All are matched in the raw text, and then no longer by the model,
/// so that an escaped text holds none. Control symbols of the model that are not among them occur in no text and decode
/// to nothing. User-defined symbols of the model are pieces like others, in escaped texts too.
///
/// Offsets are the package's, except that the white space before a word is left out (a token that is white space alone
/// keeps it), and that all byte pieces of a character cover it. Bytes that are not UTF-8 decode to one U+FFFD for each
/// maximal part, where the package writes one for each byte.
class SentencePieceTokenizer final : public VocabularyTokenizer {
 public:
  /// @param path  a folder with tokenizer.model, or a .model file, which is then the only one read
  explicit SentencePieceTokenizer(const std::filesystem::path& path);

  LeadingSpace leading_space(std::int64_t id) const override;
  bool is_special(std::int64_t id) const override;

 private:
  SentencePieceTokenizer(const std::filesystem::path& file, SentencePieceData&& data, const TokensBeside& beside);

  void encode_part(std::string_view part, std::size_t start, const TextSource& source, Encoding& result) const override;
  std::optional<std::int32_t> find_in_vocabulary(std::string_view token) const override;
  void set_added(std::int32_t id, const AddedToken& token) override;

  std::string decoded(const SentencePiece& piece) const;
  bool is_piece(std::int64_t id) const;

  SentencePieceNormalizer normalizer_;
  SentencePieceModel model_;
  std::unordered_map<std::string_view, std::int32_t> pieces_;
};

}  // namespace shine
