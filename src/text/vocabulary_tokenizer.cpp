#include "text/vocabulary_tokenizer.h"

#include <limits>

#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/unicode/utf8.h"

namespace shine {

Encoding VocabularyTokenizer::encode_with_escapes(std::string_view given, std::span<const TextSpan> escaped) const {
  const TextSource source(given, escaped);
  const std::string_view text = source.text();
  const auto is_escaped = [&](TextSpan span) { return source.is_escaped(span); };
  Encoding result;
  for (const auto& [id, span] : added_.split(text, AddedVocabulary::Form::raw, is_escaped)) {
    if (id) {
      result.ids.push_back(*id);
      result.offsets.push_back(source.original(span));
    } else {
      encode_part(text.substr(span.begin, span.end - span.begin), span.begin, source, result);
    }
  }
  return result;
}

std::string_view VocabularyTokenizer::token_bytes(std::int64_t id) const {
  return has(id) ? std::string_view(bytes_[static_cast<std::size_t>(id)]) : std::string_view();
}

bool VocabularyTokenizer::is_special(std::int64_t id) const {
  return has(id) && added_.is_special(static_cast<std::int32_t>(id));
}

std::optional<std::int64_t> VocabularyTokenizer::token_to_id(std::string_view token) const {
  return find(token);
}

std::string VocabularyTokenizer::id_to_token(std::int64_t id) const {
  if (!has(id)) throw ConfigError(str("no token has the id ", id, "; there are ", size()), file_);
  return *names_[static_cast<std::size_t>(id)];
}

std::int64_t VocabularyTokenizer::size() const {
  return static_cast<std::int64_t>(names_.size());
}

std::vector<std::int64_t> VocabularyTokenizer::add_tokens(std::span<const AddedToken> tokens) {
  std::vector<std::int64_t> ids;
  for (const AddedToken& token : tokens) ids.push_back(add(token));
  return ids;
}

void VocabularyTokenizer::add_listed(const AddedToken& token, std::optional<std::int64_t> id) {
  const std::int32_t given = add(token);
  if (!id || *id == given) return;
  throw FormatError(
      str("the added token ", quote_text(token.content), " has the id ", *id, ", but its place gives it ", given),
      file_, "ids of added tokens must follow the vocabulary without gaps");
}

std::optional<std::int32_t> VocabularyTokenizer::find(std::string_view token) const {
  const auto id = added_.find(token);
  return id ? id : find_in_vocabulary(token);
}

std::int32_t VocabularyTokenizer::add(const AddedToken& token) {
  if (token.content.empty()) throw ConfigError("an added token is empty");
  if (!is_valid_utf8(token.content)) throw ConfigError("an added token is not valid UTF-8");
  std::optional<std::int32_t> id = find(token.content);
  if (!id) {
    if (names_.size() >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
      throw ConfigError("the tokenizer has no room for more tokens");
    id = static_cast<std::int32_t>(names_.size());
    names_.emplace_back(token.content);
    bytes_.emplace_back();
  }
  set_added(*id, token);
  return *id;
}

}  // namespace shine
