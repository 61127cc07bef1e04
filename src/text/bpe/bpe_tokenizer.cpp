#include "text/bpe/bpe_tokenizer.h"

#include <algorithm>

#include "shine/common/error.h"
#include "text/bpe/byte_level.h"
#include "text/tokenizer_file.h"
#include "text/unicode/nfc.h"

namespace shine {
namespace {

std::filesystem::path tokenizer_path(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
}

std::string unspelled(const std::string& token) {
  return unspell_bytes(token).value_or(token);
}

}  // namespace

BpeTokenizer::BpeTokenizer(const std::filesystem::path& path)
    : BpeTokenizer(tokenizer_path(path), read_tokenizer_file(tokenizer_path(path))) {}

BpeTokenizer::BpeTokenizer(const std::filesystem::path& file, TokenizerFile&& source)
    : VocabularyTokenizer(file.string()),
      nfc_(source.nfc),
      pre_tokenizer_(std::move(source.pre_tokenizer)),
      model_(std::move(source.model)) {
  fill_names();
  for (const auto& [token, id] : source.added_tokens) add_listed(token, id);
}

void BpeTokenizer::fill_names() {
  std::int32_t last = -1;
  const auto& vocabulary = model_.vocabulary();
  for (const auto& [token, id] : vocabulary) last = std::max(last, id);
  // Ids need not be dense, but a table of their size must be affordable.
  const std::size_t limit = 2 * vocabulary.size() + 65536;
  if (static_cast<std::size_t>(last + 1) > limit)
    throw FormatError(str("the vocabulary has ", vocabulary.size(), " tokens, but ids up to ", last), file_);
  names_.resize(static_cast<std::size_t>(last + 1));
  bytes_.resize(names_.size());
  for (const auto& [token, id] : vocabulary) {
    if (names_[static_cast<std::size_t>(id)]) throw FormatError(str("two tokens have the id ", id), file_);
    names_[static_cast<std::size_t>(id)] = token;
    bytes_[static_cast<std::size_t>(id)] = unspelled(token);
  }
}

std::optional<std::int32_t> BpeTokenizer::find_in_vocabulary(std::string_view token) const {
  const auto found = model_.vocabulary().find(token);
  if (found == model_.vocabulary().end()) return std::nullopt;
  return found->second;
}

void BpeTokenizer::set_added(std::int32_t id, const AddedToken& token) {
  bytes_[static_cast<std::size_t>(id)] = unspelled(token.content);
  added_.add(token, id, nfc_ ? normalize_nfc(token.content).text : token.content);
}

// Text between added tokens, already normalised. `to_repaired` maps its positions to the repaired text.
template <class ToRepaired>
void BpeTokenizer::encode_words(std::string_view text, const TextSource& source, ToRepaired to_repaired,
                                Encoding& result) const {
  std::vector<BpeToken> tokens;
  for (const Piece& piece : pre_tokenizer_.split(text)) {
    const std::string_view inside = text.substr(piece.span.begin, piece.span.end - piece.span.begin);
    const std::size_t added_bytes = piece.prefix_space ? 1 : 0;
    tokens.clear();
    model_.tokenize(piece.prefix_space ? ' ' + std::string(inside) : inside, tokens);
    for (const BpeToken& token : tokens) {
      // A space put before the text counts as its first character.
      const std::size_t begin = std::max<std::size_t>(token.begin, added_bytes) - added_bytes;
      const std::size_t end = std::max<std::size_t>(token.end, added_bytes + 1) - added_bytes;
      const TextSpan span = whole_characters(text, {piece.span.begin + begin, piece.span.begin + end});
      result.ids.push_back(token.id);
      result.offsets.push_back(source.original(to_repaired(span)));
    }
  }
}

void BpeTokenizer::encode_part(std::string_view part, std::size_t start, const TextSource& source,
                               Encoding& result) const {
  NormalizedText normalized;
  const bool changes = nfc_ && !is_plainly_nfc(part);
  if (changes) normalized = normalize_nfc(part);
  const std::string_view text = changes ? std::string_view(normalized.text) : part;
  const auto to_repaired = [&](TextSpan span) {
    const TextSpan before = normalized.offsets.to_source(span);
    return TextSpan{before.begin + start, before.end + start};
  };
  const auto is_escaped = [&](TextSpan span) { return source.is_escaped(to_repaired(span)); };
  for (const auto& [id, span] : added_.split(text, AddedVocabulary::Form::normalized, is_escaped)) {
    if (id) {
      result.ids.push_back(*id);
      result.offsets.push_back(source.original(to_repaired(span)));
      continue;
    }
    const std::size_t begin = span.begin;
    encode_words(
        text.substr(begin, span.end - begin), source,
        [&](TextSpan inner) {
          return to_repaired({inner.begin + begin, inner.end + begin});
        },
        result);
  }
}

}  // namespace shine
