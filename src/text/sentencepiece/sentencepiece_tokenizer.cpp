#include "text/sentencepiece/sentencepiece_tokenizer.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

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

SentencePieceTokenizer::SentencePieceTokenizer(const std::filesystem::path& path)
    : SentencePieceTokenizer(model_path(path), read_sentencepiece_file(model_path(path)), read_tokens_beside(path)) {}

SentencePieceTokenizer::SentencePieceTokenizer(const std::filesystem::path& file, SentencePieceData&& data,
                                               const TokensById& tokens)
    : VocabularyTokenizer(file.string()), normalizer_(std::move(data.rules)), model_(std::move(data)) {
  for (const SentencePiece& piece : model_.data().pieces) {
    pieces_.emplace(piece.text, static_cast<std::int32_t>(names_.size()));
    names_.emplace_back(piece.text);
    bytes_.push_back(decoded(piece));
  }
  for (std::size_t i = 0; i < 256 && model_.data().byte_fallback; ++i) {
    bytes_[static_cast<std::size_t>(model_.data().bytes[i])] = std::string(1, static_cast<char>(i));
  }
  for (const auto& [id, token] : tokens) add_listed(token, id);
}

std::string SentencePieceTokenizer::decoded(const SentencePiece& piece) const {
  switch (piece.type) {
    case PieceType::control: return {};
    case PieceType::unknown: return model_.data().unknown_text;
    default: return spaces_for_marks(piece.text);
  }
}

std::optional<std::int32_t> SentencePieceTokenizer::find_in_vocabulary(std::string_view token) const {
  const auto found = pieces_.find(token);
  if (found == pieces_.end()) return std::nullopt;
  return found->second;
}

void SentencePieceTokenizer::set_added(std::int32_t id, const AddedToken& token) {
  if (static_cast<std::size_t>(id) < model_.data().pieces.size()) model_.retire(id);
  bytes_[static_cast<std::size_t>(id)] = token.content;
  AddedToken raw = token;
  raw.normalized = false;
  added_.add(raw, id, token.content);
}

void SentencePieceTokenizer::encode_part(std::string_view part, std::size_t start, const TextSource& source,
                                         Encoding& result) const {
  const SentencePieceText normalized = normalizer_.normalize(part, model_.symbols());
  std::optional<std::size_t> unknown_begin;  // of the unknown token before: the neighbouring characters join it
  for (const PieceToken& token : model_.tokenize(normalized.text)) {
    const bool joins = unknown_begin && token.id == model_.data().unknown;
    const std::size_t begin = joins ? *unknown_begin : normalized.sources[token.begin];
    const TextSpan span = without_leading_space(part, {begin, normalized.sources[token.end]});
    const TextSpan given = source.original({span.begin + start, span.end + start});
    unknown_begin.reset();
    if (token.id != model_.data().unknown) {
      result.ids.push_back(token.id);
      result.offsets.push_back(given);
    } else if (model_.data().byte_fallback) {
      for (std::size_t i = token.begin; i < token.end; ++i) {
        result.ids.push_back(model_.data().bytes[static_cast<unsigned char>(normalized.text[i])]);
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

bool SentencePieceTokenizer::is_piece(std::int64_t id) const {
  return has(id) && !added_.holds(static_cast<std::int32_t>(id));
}

LeadingSpace SentencePieceTokenizer::leading_space(std::int64_t id) const {
  if (!is_piece(id) || !names_[static_cast<std::size_t>(id)]->starts_with(kSpaceMark)) return LeadingSpace::keep;
  const SentencePieceRules& rules = normalizer_.rules();
  if (rules.remove_extra_spaces) return LeadingSpace::drop_each;
  return rules.dummy_prefix ? LeadingSpace::drop_first : LeadingSpace::keep;
}

bool SentencePieceTokenizer::is_special(std::int64_t id) const {
  if (!is_piece(id)) return VocabularyTokenizer::is_special(id);
  return model_.data().pieces[static_cast<std::size_t>(id)].type == PieceType::control;
}

}  // namespace shine
