#include "text/sentencepiece/sentencepiece_tokenizer.h"

#include <algorithm>

#include "shine/common/error.h"

namespace shine {
namespace {

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
    : SentencePieceTokenizer(model_path(path), read_sentencepiece_file(model_path(path)),
                             std::filesystem::is_directory(path) ? read_tokens_beside(path, {}) : TokensBeside{}) {}

SentencePieceTokenizer::SentencePieceTokenizer(const std::filesystem::path& file, SentencePieceData&& data,
                                               const TokensBeside& beside)
    : VocabularyTokenizer(file.string()), normalizer_(std::move(data.rules)), model_(std::move(data)) {
  for (const SentencePiece& piece : model_.data().pieces) {
    pieces_.emplace(piece.text, static_cast<std::int32_t>(names_.size()));
    names_.emplace_back(piece.text);
    bytes_.push_back(decoded(piece));
  }
  for (std::size_t i = 0; i < 256 && model_.data().byte_fallback; ++i) {
    bytes_[static_cast<std::size_t>(model_.data().bytes[i])] = std::string(1, static_cast<char>(i));
  }
  for (const auto& [token, id] : beside.tokens) add_listed(token, id);
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
