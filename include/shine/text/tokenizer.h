#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shine/common/api.h"

namespace shine {

/// Bytes [begin, end) of a text.
struct TextSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};

/// The tokens of one text. `offsets[i]` are the bytes of the text AS GIVEN that token i stands for, widened to whole
/// characters (a character cut by two tokens belongs to both). Where normalisation changed the text, they cover the
/// characters that the changed part came from.
struct Encoding {
  std::vector<std::int64_t> ids;
  std::vector<TextSpan> offsets;  // one per id
};

/// What to do with the strings of added tokens (special or not) that occur in a text.
enum class SpecialTokens {
  parse,   // they become their ids, as Hugging Face does
  escape,  // they are ordinary text: no added token can come out (untrusted text)
};

/// A token matched as a whole in the raw text, before the model of the vocabulary sees it.
struct AddedToken {
  std::string content;
  bool special = true;       // dropped by decode(.., skip_special = true)
  bool single_word = false;  // matches only between non-word characters
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = false;   // matched in the normalised text instead of the raw one
  friend bool operator==(const AddedToken&, const AddedToken&) = default;
};

/// What decode() does with the space that a token begins with while the text is still empty: the model of the
/// vocabulary may have put it before the text (sentencepiece's dummy prefix).
enum class LeadingSpace {
  keep,
  drop_first,  // only the first such token loses it
  drop_each,
};

/// Text to token ids and back. Constant members may be called from several threads at once.
class SHINE_API Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Any bytes are accepted: each maximal invalid part of UTF-8 counts as U+FFFD. No token is put around the text.
  Encoding encode(std::string_view text, SpecialTokens treatment = SpecialTokens::parse) const;

  /// Like encode(text, parse), except that no added token is recognised where it would overlap one of the `escaped`
  /// byte ranges (ascending, disjoint, within the text; else ConfigError).
  virtual Encoding encode_with_escapes(std::string_view text, std::span<const TextSpan> escaped) const = 0;

  /// The text of some ids, always valid UTF-8. As in Hugging Face, ids at or above size() stand for nothing (models
  /// have more rows than their tokenizer); a negative id is a ConfigError.
  std::string decode(std::span<const std::int64_t> ids, bool skip_special = false) const;

  /// The bytes one token adds to a decoded text, possibly a part of a character; empty for an unknown id.
  virtual std::string_view token_bytes(std::int64_t id) const = 0;

  /// Of a token whose bytes begin with a space: whether it loses it at the start of a decoded text.
  virtual LeadingSpace leading_space(std::int64_t) const { return LeadingSpace::keep; }

  virtual bool is_special(std::int64_t id) const = 0;

  /// By the token's string as the vocabulary file spells it ("Ġthe" for " the" in a byte-level vocabulary).
  virtual std::optional<std::int64_t> token_to_id(std::string_view token) const = 0;

  /// The inverse of token_to_id; throws ConfigError for an unknown id.
  virtual std::string id_to_token(std::int64_t id) const = 0;

  /// Highest id + 1; len(tokenizer) in Hugging Face.
  virtual std::int64_t size() const = 0;

  /// Adds tokens at run time: a string of the vocabulary keeps its id, any other gets the next one, from size() on.
  /// Returns the ids. Must not run beside other calls.
  virtual std::vector<std::int64_t> add_tokens(std::span<const AddedToken> tokens) = 0;
};

/// The files of a folder that make its tokenizer and its chat format: to be copied with a model.
inline constexpr std::array<std::string_view, 8> kTokenizerFiles = {
    "tokenizer.json",        "tokenizer.model",         "vocab.json",        "merges.txt",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"};

/// True if the folder holds a tokenizer that load_tokenizer reads.
SHINE_API bool has_tokenizer(const std::filesystem::path& folder);

/// Opens the tokenizer of a Hugging Face model directory: tokenizer.json if it is there, else tokenizer.model, else
/// vocab.json and merges.txt, with the added tokens that the other kTokenizerFiles name, as AutoTokenizer does; or a
/// tokenizer.json or .model file itself, alone. Throws IoError, FormatError, or UnsupportedError naming the part of the
/// file that is not supported.
SHINE_API std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);

/// Decodes ids as they are generated. What is returned is always valid UTF-8: the bytes of an unfinished character are
/// held back until it is complete. All pieces and finish() together equal decode() of all ids.
class SHINE_API StreamDecoder {
 public:
  /// @param tokenizer  must outlive this object
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = false);

  /// The text that became certain with this id; may be empty.
  std::string push(std::int64_t id);

  /// U+FFFD for an unfinished character, if any; the decoder is then ready for another text.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool at_start_ = true;  // leading spaces may be dropped
  std::string pending_;   // start of a character, at most three bytes
};

}  // namespace shine
