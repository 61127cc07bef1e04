#include "text/sentencepiece/sentencepiece_merger.h"

#include <algorithm>
#include <queue>
#include <unordered_map>

namespace shine {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

/// A stretch of the text in a linked list; empty once it was merged into its left neighbour.
struct Symbol {
  std::size_t begin = 0;
  std::size_t length = 0;
  std::size_t previous = kNone;
  std::size_t next = kNone;
  bool is_final = false;  // a user-defined piece
};

struct Merge {
  float score = 0;
  std::size_t left = 0;
  std::size_t right = 0;
  std::size_t length = 0;  // of both when this was noted

  bool operator<(const Merge& other) const {
    return score < other.score || (score == other.score && left > other.left);
  }
};

class Merger {
 public:
  Merger(std::string_view text, const SentencePieceData& data, const PieceIndex& index, const StringTrie& symbols)
      : text_(text), data_(data), index_(index) {
    for (std::size_t at = 0; at < text.size();) {
      Symbol symbol;
      symbol.begin = at;
      symbol.length = symbols.longest_at(text, at).length;
      symbol.is_final = symbol.length > 0;
      if (!symbol.is_final) symbol.length = std::min(lead_byte_length(text[at]), text.size() - at);
      at += symbol.length;
      if (!symbols_.empty()) symbol.previous = symbols_.size() - 1;
      if (at < text.size()) symbol.next = symbols_.size() + 1;
      symbols_.push_back(symbol);
    }
  }

  std::vector<PieceToken> run() {
    for (std::size_t i = 1; i < symbols_.size(); ++i) note(i - 1, i);
    while (!merges_.empty()) {
      const Merge merge = merges_.top();
      merges_.pop();
      Symbol& left = symbols_[merge.left];
      Symbol& right = symbols_[merge.right];
      if (left.length == 0 || right.length == 0 || left.length + right.length != merge.length) continue;
      left.length += right.length;
      left.next = right.next;
      if (right.next != kNone) symbols_[right.next].previous = merge.left;
      right.length = 0;
      note(left.previous, merge.left);
      note(merge.left, left.next);
    }
    for (std::size_t i = 0; i != kNone; i = symbols_[i].next) append(symbols_[i].begin, symbols_[i].length);
    return std::move(tokens_);
  }

 private:
  PieceType type(std::int32_t id) const { return data_.pieces[static_cast<std::size_t>(id)].type; }

  void note(std::size_t left, std::size_t right) {
    if (left == kNone || right == kNone || symbols_[left].is_final || symbols_[right].is_final) return;
    const std::size_t length = symbols_[left].length + symbols_[right].length;
    const std::string_view piece = text_.substr(symbols_[left].begin, length);
    const auto id = index_.find(piece);
    if (!id) return;
    merges_.push({data_.pieces[static_cast<std::size_t>(*id)].score, left, right, length});
    if (type(*id) == PieceType::unused) halves_[piece] = symbols_[left].length;
  }

  void append(std::size_t begin, std::size_t length) {
    std::vector<std::pair<std::size_t, std::size_t>> open = {{begin, length}};
    while (!open.empty()) {
      const auto [at, size] = open.back();
      open.pop_back();
      const std::string_view piece = text_.substr(at, size);
      const auto id = index_.find(piece);
      const bool is_unused = id && type(*id) == PieceType::unused;
      const auto halves = is_unused ? halves_.find(piece) : halves_.end();
      if (halves == halves_.end()) {
        tokens_.push_back({id && !is_unused ? *id : data_.unknown, at, at + size});
      } else {
        open.emplace_back(at + halves->second, size - halves->second);
        open.emplace_back(at, halves->second);
      }
    }
  }

  std::string_view text_;
  const SentencePieceData& data_;
  const PieceIndex& index_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Merge> merges_;
  std::unordered_map<std::string_view, std::size_t> halves_;  // unused piece -> length of its left part
  std::vector<PieceToken> tokens_;
};

}  // namespace

std::vector<PieceToken> merge_pieces(std::string_view text, const SentencePieceData& data, const PieceIndex& index,
                                     const StringTrie& symbols) {
  return Merger(text, data, index, symbols).run();
}

}  // namespace shine
