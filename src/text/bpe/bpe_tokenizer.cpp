#include "text/bpe/bpe_tokenizer.h"

#include <algorithm>
#include <limits>

#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/bpe/byte_level.h"
#include "text/encode_around_added.h"
#include "text/tokenizer_file.h"
#include "text/unicode/nfc.h"

namespace shine {
namespace {

std::filesystem::path tokenizer_path(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
}

}  // namespace

struct BpeTokenizer::Parts {
  std::string file;
  bool nfc;
  PreTokenizer pre_tokenizer;
  BpeModel model;
  AddedVocabulary added;
  std::vector<std::optional<std::string>> names;  // by id, as the file spells them
  std::vector<std::string> bytes;                 // by id, as they are decoded

  Parts(const std::filesystem::path& path, TokenizerFile&& source)
      : file(path.string()),
        nfc(source.nfc),
        pre_tokenizer(std::move(source.pre_tokenizer)),
        model(std::move(source.model)) {
    fill_names();
    for (const auto& [token, id] : source.added_tokens) {
      const std::int32_t given = add(token);
      if (given != id)
        throw FormatError(
            str("the added token ", quote_text(token.content), " has the id ", id, ", but its place gives it ", given),
            file, "ids of added tokens must follow the vocabulary without gaps");
    }
  }

  void fill_names() {
    std::int32_t last = -1;
    const auto& vocabulary = model.vocabulary();
    for (const auto& [token, id] : vocabulary) last = std::max(last, id);
    // Ids need not be dense, but a table of their size must be affordable.
    const std::size_t limit = 2 * vocabulary.size() + 65536;
    if (static_cast<std::size_t>(last + 1) > limit)
      throw FormatError(str("the vocabulary has ", vocabulary.size(), " tokens, but ids up to ", last), file);
    names.resize(static_cast<std::size_t>(last + 1));
    bytes.resize(names.size());
    for (const auto& [token, id] : vocabulary) {
      if (names[static_cast<std::size_t>(id)]) throw FormatError(str("two tokens have the id ", id), file);
      set_name(id, token);
    }
  }

  void set_name(std::int32_t id, const std::string& token) {
    const auto index = static_cast<std::size_t>(id);
    names[index] = token;
    bytes[index] = unspell_bytes(token).value_or(token);
  }

  bool has(std::int64_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < names.size() && names[static_cast<std::size_t>(id)];
  }

  std::int32_t add(const AddedToken& token) {
    if (token.content.empty()) throw ConfigError("an added token is empty");
    if (!is_valid_utf8(token.content)) throw ConfigError("an added token is not valid UTF-8");
    std::optional<std::int32_t> id = find(token.content);
    if (!id) {
      if (names.size() >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
        throw ConfigError("the tokenizer has no room for more tokens");
      id = static_cast<std::int32_t>(names.size());
      names.emplace_back();
      bytes.emplace_back();
      set_name(*id, token.content);
    }
    added.add(token, *id, nfc ? normalize_nfc(token.content).text : token.content);
    return *id;
  }

  std::optional<std::int32_t> find(std::string_view token) const {
    if (const auto id = added.find(token)) return id;
    const auto found = model.vocabulary().find(token);
    if (found == model.vocabulary().end()) return std::nullopt;
    return found->second;
  }

  // Text between added tokens, already normalised. `to_repaired` maps its positions to the repaired text.
  template <class ToRepaired>
  void encode_words(std::string_view text, const TextSource& source, ToRepaired to_repaired, Encoding& result) const {
    std::vector<BpeToken> tokens;
    for (const Piece& piece : pre_tokenizer.split(text)) {
      const std::string_view inside = text.substr(piece.span.begin, piece.span.end - piece.span.begin);
      const std::size_t added_bytes = piece.prefix_space ? 1 : 0;
      tokens.clear();
      model.tokenize(piece.prefix_space ? ' ' + std::string(inside) : inside, tokens);
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

  // A part of the repaired text that holds no added token of the raw kind; `start` is its place there.
  void encode_part(std::string_view part, std::size_t start, const TextSource& source, Encoding& result) const {
    NormalizedText normalized;
    const bool changes = nfc && !is_plainly_nfc(part);
    if (changes) normalized = normalize_nfc(part);
    const std::string_view text = changes ? std::string_view(normalized.text) : part;
    const auto to_repaired = [&](TextSpan span) {
      const TextSpan before = normalized.offsets.to_source(span);
      return TextSpan{before.begin + start, before.end + start};
    };
    const auto is_escaped = [&](TextSpan span) { return source.is_escaped(to_repaired(span)); };
    for (const auto& [id, span] : added.split(text, AddedVocabulary::Form::normalized, is_escaped)) {
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
};

BpeTokenizer::BpeTokenizer(const std::filesystem::path& path)
    : parts_(std::make_unique<Parts>(tokenizer_path(path), read_tokenizer_file(tokenizer_path(path)))) {}

BpeTokenizer::~BpeTokenizer() = default;

Encoding BpeTokenizer::encode_with_escapes(std::string_view given, std::span<const TextSpan> escaped) const {
  return encode_around_added(parts_->added, given, escaped,
                             [&](std::string_view part, std::size_t begin, const TextSource& source, Encoding& result) {
                               parts_->encode_part(part, begin, source, result);
                             });
}

std::string_view BpeTokenizer::token_bytes(std::int64_t id) const {
  return parts_->has(id) ? std::string_view(parts_->bytes[static_cast<std::size_t>(id)]) : std::string_view();
}

bool BpeTokenizer::is_special(std::int64_t id) const {
  return parts_->has(id) && parts_->added.is_special(static_cast<std::int32_t>(id));
}

std::optional<std::int64_t> BpeTokenizer::token_to_id(std::string_view token) const {
  return parts_->find(token);
}

std::string BpeTokenizer::id_to_token(std::int64_t id) const {
  if (!parts_->has(id)) throw ConfigError(str("no token has the id ", id, "; there are ", size()), parts_->file);
  return *parts_->names[static_cast<std::size_t>(id)];
}

std::int64_t BpeTokenizer::size() const {
  return static_cast<std::int64_t>(parts_->names.size());
}

std::vector<std::int64_t> BpeTokenizer::add_tokens(std::span<const AddedToken> tokens) {
  std::vector<std::int64_t> ids;
  for (const AddedToken& token : tokens) ids.push_back(parts_->add(token));
  return ids;
}

}  // namespace shine
