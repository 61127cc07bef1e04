#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shine/text/tokenizer.h"

namespace shine {

/// A sentencepiece model (unigram or BPE, with or without byte fallback). Ids and decoded texts equal those of the
/// Python package `sentencepiece` 0.2 without its optional symbols for begin and end; a text between two added tokens
/// is encoded as a text of its own, with the space that the model puts before each text.
///
/// Added tokens come from tokenizer_config.json (added_tokens_decoder) and added_tokens.json beside the model, as in
/// Hugging Face's tokenizers that read such models. All are matched in the raw text, and then no longer by the model,
/// so that an escaped text holds none. Control symbols of the model that are not among them occur in no text and decode
/// to nothing. User-defined symbols of the model are pieces like others, in escaped texts too.
///
/// Offsets are the package's, except that the white space before a word is left out (a token that is white space alone
/// keeps it), and that all byte pieces of a character cover it. Bytes that are not UTF-8 decode to one U+FFFD for each
/// maximal part, where the package writes one for each byte.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  /// @param path  a folder with tokenizer.model, or a .model file, which is then the only one read
  explicit SentencePieceTokenizer(const std::filesystem::path& path);
  ~SentencePieceTokenizer() override;

  Encoding encode_with_escapes(std::string_view text, std::span<const TextSpan> escaped) const override;
  std::string_view token_bytes(std::int64_t id) const override;
  LeadingSpace leading_space(std::int64_t id) const override;
  bool is_special(std::int64_t id) const override;
  std::optional<std::int64_t> token_to_id(std::string_view token) const override;
  std::string id_to_token(std::int64_t id) const override;
  std::int64_t size() const override;
  std::vector<std::int64_t> add_tokens(std::span<const AddedToken> tokens) override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace shine
