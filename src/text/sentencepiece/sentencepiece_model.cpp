#include "text/sentencepiece/sentencepiece_model.h"

#include <algorithm>
#include <limits>

#include "text/sentencepiece/sentencepiece_merger.h"

namespace shine {
namespace {

constexpr float kUnknownPenalty = 10.0F;
constexpr double kSymbolPenalty = 0.1;

unsigned char byte_at(std::string_view text, std::size_t place) {
  return static_cast<unsigned char>(text[place]);
}

}  // namespace

PieceIndex::PieceIndex(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
  for (const Entry& entry : entries_) ++starts_[byte_at(entry.text, 0) + std::size_t{1}];
  for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
}

PieceIndex::Range PieceIndex::narrow(Range range, char next) const {
  const auto byte = static_cast<unsigned char>(next);
  if (range.depth == 0) return {starts_[byte], starts_[byte + std::size_t{1}], 1};
  // A string that ends here is the first of its range and stands before all bytes.
  const auto place = [&](auto before) {
    const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(range.begin);
    const auto last = entries_.begin() + static_cast<std::ptrdiff_t>(range.end);
    const auto found = std::partition_point(first, last, [&](const Entry& entry) {
      return entry.text.size() == range.depth || before(byte_at(entry.text, range.depth));
    });
    return static_cast<std::size_t>(found - entries_.begin());
  };
  const std::size_t begin = place([&](unsigned char found) { return found < byte; });
  const std::size_t end = place([&](unsigned char found) { return found <= byte; });
  return {begin, end, range.depth + 1};
}

std::optional<std::int32_t> PieceIndex::end_of(Range range) const {
  const Entry& first = entries_[range.begin];
  if (first.text.size() != range.depth) return std::nullopt;
  return first.id;
}

std::optional<std::int32_t> PieceIndex::find(std::string_view text) const {
  const auto place = std::lower_bound(entries_.begin(), entries_.end(), text,
                                      [](const Entry& entry, std::string_view value) { return entry.text < value; });
  if (place == entries_.end() || place->text != text) return std::nullopt;
  return place->id;
}

SentencePieceModel::SentencePieceModel(SentencePieceData data) : data_(std::move(data)) {
  lowest_ = std::numeric_limits<float>::max();
  highest_ = std::numeric_limits<float>::min();  // above zero, as in sentencepiece
  for (const SentencePiece& piece : data_.pieces) {
    if (piece.type != PieceType::normal) continue;
    lowest_ = std::min(lowest_, piece.score);
    highest_ = std::max(highest_, piece.score);
  }
  index_pieces();
}

void SentencePieceModel::index_pieces() {
  std::vector<PieceIndex::Entry> entries;
  symbols_ = {};
  for (std::size_t i = 0; i < data_.pieces.size(); ++i) {
    const SentencePiece& piece = data_.pieces[i];
    const auto id = static_cast<std::int32_t>(i);
    if (piece.type == PieceType::user_defined) symbols_.insert(piece.text, id);
    if (piece.type == PieceType::normal || piece.type == PieceType::user_defined || piece.type == PieceType::unused)
      entries.push_back({piece.text, id});
  }
  index_ = PieceIndex(std::move(entries));
}

void SentencePieceModel::retire(std::int32_t id) {
  PieceType& kind = data_.pieces[static_cast<std::size_t>(id)].type;
  if (kind != PieceType::normal && kind != PieceType::user_defined && kind != PieceType::unused) return;
  kind = PieceType::control;
  index_pieces();
}

std::vector<PieceToken> SentencePieceModel::tokenize(std::string_view normalized) const {
  if (normalized.empty()) return {};
  if (data_.kind == SentencePieceKind::unigram) return tokenize_unigram(normalized);
  return merge_pieces(normalized, data_, index_, symbols_);
}

/// Viterbi's algorithm, in the precision and with the ties of sentencepiece.
std::vector<PieceToken> SentencePieceModel::tokenize_unigram(std::string_view text) const {
  struct Path {
    float score = 0;
    std::int32_t last = -1;  // piece that ends here
    std::size_t begin = std::string_view::npos;
  };
  std::vector<Path> best(text.size() + 1);  // of the paths that end at each place
  const auto offer = [&](std::size_t begin, std::size_t end, std::int32_t id, float score) {
    Path& path = best[end];
    if (path.begin != std::string_view::npos && !(score > path.score)) return;
    path = {score, id, begin};
  };
  const float unknown_score = lowest_ - kUnknownPenalty;
  for (std::size_t begin = 0; begin < text.size();) {
    const float before = best[begin].score;
    const std::size_t character = std::min(lead_byte_length(text[begin]), text.size() - begin);
    bool has_character = false;
    PieceIndex::Range range = index_.all();
    for (std::size_t end = begin + 1; end <= text.size(); ++end) {
      range = index_.narrow(range, text[end - 1]);
      if (range.begin == range.end) break;
      const auto id = index_.end_of(range);
      if (!id || type(*id) == PieceType::unused) continue;
      const float score = type(*id) == PieceType::user_defined
                              ? static_cast<float>(static_cast<float>(end - begin) * highest_ - kSymbolPenalty)
                              : data_.pieces[static_cast<std::size_t>(*id)].score;
      offer(begin, end, *id, score + before);
      has_character = has_character || end - begin == character;
    }
    if (!has_character) offer(begin, begin + character, data_.unknown, unknown_score + before);
    begin += character;
  }

  std::vector<PieceToken> tokens;
  for (std::size_t end = text.size(); end > 0; end = best[end].begin) {
    tokens.push_back({best[end].last, best[end].begin, end});
  }
  std::reverse(tokens.begin(), tokens.end());
  return tokens;
}

}  // namespace shine
