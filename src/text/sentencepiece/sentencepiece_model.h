#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/added_vocabulary.h"
#include "text/sentencepiece/sentencepiece_file.h"

namespace shine {

/// Strings in byte order with an id each, walked byte by byte.
class PieceIndex {
 public:
  struct Entry {
    std::string_view text;
    std::int32_t id = 0;
  };

  PieceIndex() = default;

  /// The strings must differ and outlive this object.
  explicit PieceIndex(std::vector<Entry> entries);

  /// The strings that begin with the bytes walked so far.
  struct Range {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t depth = 0;  // number of bytes walked
  };
  Range all() const { return {0, entries_.size(), 0}; }
  Range narrow(Range range, char next) const;

  /// The id of the string that ends here, if any; the range must not be empty.
  std::optional<std::int32_t> end_of(Range range) const;

  std::optional<std::int32_t> find(std::string_view text) const;

 private:
  std::vector<Entry> entries_;
  std::array<std::size_t, 257> starts_{};  // by first byte
};

/// A piece in a normalised text.
struct PieceToken {
  std::int32_t id = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Cuts normalised texts into pieces as the sentencepiece package does: the likeliest pieces of a unigram model, or the
/// merges of a BPE model. Takes O(n L) for n bytes and pieces of L bytes at most, or O(n log n). Thread-safe.
class SentencePieceModel {
 public:
  explicit SentencePieceModel(SentencePieceData data);
  SentencePieceModel(const SentencePieceModel&) = delete;
  SentencePieceModel& operator=(const SentencePieceModel&) = delete;

  /// Every byte of the text is in one token. What no piece covers are unknown tokens of one character each.
  std::vector<PieceToken> tokenize(std::string_view normalized) const;

  /// From now on the piece is not found in texts.
  void retire(std::int32_t id);

  /// The pieces that are cut out of any text before all others.
  const StringTrie& symbols() const { return symbols_; }

  const SentencePieceData& data() const { return data_; }

 private:
  void index_pieces();
  PieceType type(std::int32_t id) const { return data_.pieces[static_cast<std::size_t>(id)].type; }
  std::vector<PieceToken> tokenize_unigram(std::string_view text) const;

  SentencePieceData data_;
  PieceIndex index_;
  StringTrie symbols_;
  float lowest_ = 0;  // scores of normal pieces
  float highest_ = 0;
};

}  // namespace shine
