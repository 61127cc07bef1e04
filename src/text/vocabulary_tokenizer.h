#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/added_vocabulary.h"
#include "text/text_source.h"

namespace shine {

/// What tokenizers share whose ids are places in a table: the table, added tokens, escaped texts.
class VocabularyTokenizer : public Tokenizer {
 public:
  Encoding encode_with_escapes(std::string_view text, std::span<const TextSpan> escaped) const final;
  std::string_view token_bytes(std::int64_t id) const final;
  bool is_special(std::int64_t id) const override;
  std::optional<std::int64_t> token_to_id(std::string_view token) const final;
  std::string id_to_token(std::int64_t id) const final;
  std::int64_t size() const final;
  std::vector<std::int64_t> add_tokens(std::span<const AddedToken> tokens) final;

 protected:
  /// @param file  named in faults
  explicit VocabularyTokenizer(std::string file) : file_(std::move(file)) {}

  /// Encodes a part of the source's text that holds no added token of the raw kind.
  /// @param start  its place there
  virtual void encode_part(std::string_view part, std::size_t start, const TextSource& source,
                           Encoding& result) const = 0;

  /// A token of the vocabulary itself.
  virtual std::optional<std::int32_t> find_in_vocabulary(std::string_view token) const = 0;

  /// Makes the token that has the id, which may be of the vocabulary, an added one: its bytes, its entry in added_.
  virtual void set_added(std::int32_t id, const AddedToken& token) = 0;

  /// Adds a token that a file lists. Throws FormatError where it has an id that is not the one that its place gives it.
  void add_listed(const AddedToken& token, std::optional<std::int64_t> id);

  /// The id: of the vocabulary, or the next one.
  std::int32_t add(const AddedToken& token);

  bool has(std::int64_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < names_.size() && names_[static_cast<std::size_t>(id)];
  }

  std::string file_;
  std::vector<std::optional<std::string>> names_;  // by id, as the file spells them
  std::vector<std::string> bytes_;                 // by id, as they are decoded
  AddedVocabulary added_;

 private:
  std::optional<std::int32_t> find(std::string_view token) const;
};

}  // namespace shine
