#include "text/sentencepiece/sentencepiece_tokenizer.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/encode_around_added.h"
#include "text/sentencepiece/sentencepiece_model.h"
#include "text/sentencepiece/sentencepiece_normalizer.h"

namespace shine {
namespace {

using nlohmann::json;
using TokensById = std::map<std::int64_t, AddedToken>;

std::int64_t parse_id(const std::string& text, const std::string& where) {
  std::int64_t id = -1;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (fault != std::errc() || end != text.data() + text.size() || id < 0)
    throw FormatError(str(quote_text(text), " is not a token id"), where);
  return id;
}

/// tokenizer_config.json: {"added_tokens_decoder": {"32000": {"content": .., "special": ..}, ..}}
void read_config(const std::filesystem::path& path, TokensById& tokens) {
  if (!std::filesystem::exists(path)) return;
  const std::string where = path.string();
  const json config = read_json_file(path);
  if (!has_value(config, "added_tokens_decoder", where)) return;
  for (const auto& [key, value] : get_object(config, "added_tokens_decoder", where).items()) {
    const std::string place = where + ": added_tokens_decoder: " + quote_text(key);
    AddedToken token;
    token.content = get_string(value, "content", place);
    token.special = get_bool_or(value, "special", false, place);
    token.single_word = get_bool_or(value, "single_word", false, place);
    token.lstrip = get_bool_or(value, "lstrip", false, place);
    token.rstrip = get_bool_or(value, "rstrip", false, place);
    tokens[parse_id(key, place)] = token;
  }
}

/// added_tokens.json: {"<|im_end|>": 32000, ..}
void read_added_tokens(const std::filesystem::path& path, TokensById& tokens) {
  if (!std::filesystem::exists(path)) return;
  const json file = read_json_file(path);
  if (!file.is_object()) throw FormatError("expected an object of tokens and ids", path.string());
  for (const auto& [content, value] : file.items()) {
    const std::int64_t id = get_int(file, content, path.string());
    if (id < 0) throw FormatError(str("the token ", quote_text(content), " has the id ", id), path.string());
    AddedToken token;
    token.content = content;
    tokens.try_emplace(id, token);
  }
}

TokensById read_tokens_beside(const std::filesystem::path& path) {
  TokensById tokens;
  if (!std::filesystem::is_directory(path)) return tokens;
  read_config(path / "tokenizer_config.json", tokens);
  read_added_tokens(path / "added_tokens.json", tokens);
  return tokens;
}

std::filesystem::path model_path(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) ? path / "tokenizer.model" : path;
}

std::string spaces_for_marks(std::string_view piece) {
  std::string text;
  while (!piece.empty()) {
    const std::size_t mark = std::min(piece.find(kSpaceMark), piece.size());
    text += piece.substr(0, mark);
    if (mark < piece.size()) text += ' ';
    piece.remove_prefix(std::min(mark + kSpaceMark.size(), piece.size()));
  }
  return text;
}

/// Without the white space at the start, unless nothing else is there.
TextSpan without_leading_space(std::string_view text, TextSpan span) {
  for (std::size_t begin = span.begin; begin < span.end;) {
    const Utf8Unit unit = valid_utf8_unit(text.data() + begin);
    if (!is_white_space(unit.code_point)) return {begin, span.end};
    begin += unit.length;
  }
  return span;
}

}  // namespace

struct SentencePieceTokenizer::Parts {
  std::string file;
  SentencePieceNormalizer normalizer;
  SentencePieceModel model;
  AddedVocabulary added;
  std::vector<std::string> names;  // by id
  std::vector<std::string> bytes;  // by id, as they are decoded
  std::vector<bool> is_added;      // by id
  std::unordered_map<std::string_view, std::int64_t> pieces;

  Parts(const std::filesystem::path& path, SentencePieceData&& data, const TokensById& tokens)
      : file(path.string()), normalizer(std::move(data.rules)), model(std::move(data)) {
    for (const SentencePiece& piece : model.data().pieces) {
      pieces.emplace(piece.text, static_cast<std::int64_t>(names.size()));
      names.push_back(piece.text);
      bytes.push_back(decoded(piece));
    }
    is_added.resize(names.size());
    for (std::size_t i = 0; i < 256 && model.data().byte_fallback; ++i) {
      bytes[static_cast<std::size_t>(model.data().bytes[i])] = std::string(1, static_cast<char>(i));
    }
    for (const auto& [id, token] : tokens) {
      const std::int64_t given = add(token);
      if (given != id)
        throw FormatError(
            str("the added token ", quote_text(token.content), " has the id ", id, ", but its place gives it ", given),
            file, "ids of added tokens must follow the pieces without gaps");
    }
  }

  std::string decoded(const SentencePiece& piece) const {
    switch (piece.type) {
      case PieceType::control: return {};
      case PieceType::unknown: return model.data().unknown_text;
      default: return spaces_for_marks(piece.text);
    }
  }

  bool has(std::int64_t id) const { return id >= 0 && static_cast<std::size_t>(id) < names.size(); }

  std::int64_t add(const AddedToken& token) {
    if (token.content.empty()) throw ConfigError("an added token is empty");
    if (!is_valid_utf8(token.content)) throw ConfigError("an added token is not valid UTF-8");
    auto id = find(token.content);
    if (!id) {
      if (names.size() >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
        throw ConfigError("the tokenizer has no room for more tokens");
      id = static_cast<std::int64_t>(names.size());
      names.push_back(token.content);
      bytes.emplace_back();
      is_added.push_back(false);
    } else if (static_cast<std::size_t>(*id) < model.data().pieces.size()) {
      model.retire(static_cast<std::int32_t>(*id));
    }
    const auto index = static_cast<std::size_t>(*id);
    bytes[index] = token.content;
    is_added[index] = true;
    AddedToken raw = token;
    raw.normalized = false;
    added.add(raw, static_cast<std::int32_t>(*id), token.content);
    return *id;
  }

  std::optional<std::int64_t> find(std::string_view token) const {
    if (const auto id = added.find(token)) return id;
    const auto found = pieces.find(token);
    if (found == pieces.end()) return std::nullopt;
    return found->second;
  }

  // A part of the text that holds no added token; `start` is its place there.
  void encode_part(std::string_view part, std::size_t start, const TextSource& source, Encoding& result) const {
    const SentencePieceText normalized = normalizer.normalize(part, model.symbols());
    std::optional<std::size_t> unknown_begin;  // of the unknown token before: the neighbouring characters join it
    for (const PieceToken& token : model.tokenize(normalized.text)) {
      const bool joins = unknown_begin && token.id == model.data().unknown;
      const std::size_t begin = joins ? *unknown_begin : normalized.sources[token.begin];
      const TextSpan span = without_leading_space(part, {begin, normalized.sources[token.end]});
      const TextSpan given = source.original({span.begin + start, span.end + start});
      unknown_begin.reset();
      if (token.id != model.data().unknown) {
        result.ids.push_back(token.id);
        result.offsets.push_back(given);
      } else if (model.data().byte_fallback) {
        for (std::size_t i = token.begin; i < token.end; ++i) {
          result.ids.push_back(model.data().bytes[static_cast<unsigned char>(normalized.text[i])]);
          result.offsets.push_back(given);
        }
      } else {
        unknown_begin = begin;
        if (joins) {
          result.offsets.back() = given;
        } else {
          result.ids.push_back(token.id);
          result.offsets.push_back(given);
        }
      }
    }
  }
};

SentencePieceTokenizer::SentencePieceTokenizer(const std::filesystem::path& path)
    : parts_(std::make_unique<Parts>(model_path(path), read_sentencepiece_file(model_path(path)),
                                     read_tokens_beside(path))) {}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

Encoding SentencePieceTokenizer::encode_with_escapes(std::string_view given, std::span<const TextSpan> escaped) const {
  return encode_around_added(parts_->added, given, escaped,
                             [&](std::string_view part, std::size_t begin, const TextSource& source, Encoding& result) {
                               parts_->encode_part(part, begin, source, result);
                             });
}

std::string_view SentencePieceTokenizer::token_bytes(std::int64_t id) const {
  return parts_->has(id) ? std::string_view(parts_->bytes[static_cast<std::size_t>(id)]) : std::string_view();
}

LeadingSpace SentencePieceTokenizer::leading_space(std::int64_t id) const {
  const auto index = static_cast<std::size_t>(id);
  if (!parts_->has(id) || parts_->is_added[index] || !parts_->names[index].starts_with(kSpaceMark))
    return LeadingSpace::keep;
  const SentencePieceRules& rules = parts_->normalizer.rules();
  if (rules.remove_extra_spaces) return LeadingSpace::drop_each;
  return rules.dummy_prefix ? LeadingSpace::drop_first : LeadingSpace::keep;
}

bool SentencePieceTokenizer::is_special(std::int64_t id) const {
  if (!parts_->has(id)) return false;
  if (parts_->is_added[static_cast<std::size_t>(id)]) return parts_->added.is_special(static_cast<std::int32_t>(id));
  return parts_->model.data().pieces[static_cast<std::size_t>(id)].type == PieceType::control;
}

std::optional<std::int64_t> SentencePieceTokenizer::token_to_id(std::string_view token) const {
  return parts_->find(token);
}

std::string SentencePieceTokenizer::id_to_token(std::int64_t id) const {
  if (!parts_->has(id)) throw ConfigError(str("no token has the id ", id, "; there are ", size()), parts_->file);
  return parts_->names[static_cast<std::size_t>(id)];
}

std::int64_t SentencePieceTokenizer::size() const {
  return static_cast<std::int64_t>(parts_->names.size());
}

std::vector<std::int64_t> SentencePieceTokenizer::add_tokens(std::span<const AddedToken> tokens) {
  std::vector<std::int64_t> ids;
  for (const AddedToken& token : tokens) ids.push_back(parts_->add(token));
  return ids;
}

}  // namespace shine
