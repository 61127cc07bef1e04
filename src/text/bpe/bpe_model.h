#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/bpe/merge_table.h"
#include "text/bpe/word_cache.h"

namespace shine {

/// Hash for maps keyed by strings that are looked up by views.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

struct BpeModelData {
  StringMap<std::int32_t> vocabulary;   // spelled token (see byte_level.h) -> id
  std::vector<BpeMerge> merges;         // the first is done first
  bool ignore_merges = false;           // a word that is a token is that token, whatever the merges say
  std::optional<std::int32_t> unknown;  // stands for bytes that have no token; without it they vanish
  bool fuse_unknown = false;            // one unknown token for neighbouring such bytes
};

/// Byte-pair encoding of single words, in O(n log n). Short words are remembered (WordCache). Thread-safe.
class BpeModel {
 public:
  explicit BpeModel(BpeModelData data);

  /// Appends the tokens of one word, given as raw bytes (less than 2^31 of them).
  void tokenize(std::string_view word, std::vector<BpeToken>& tokens) const;

  const StringMap<std::int32_t>& vocabulary() const { return data_.vocabulary; }

 private:
  void append_bytes(std::string_view word, std::vector<BpeToken>& tokens) const;
  std::size_t merge_short(std::span<BpeToken> tokens) const;
  std::size_t merge_long(std::span<BpeToken> tokens) const;
  void merge_word(std::string_view word, std::vector<BpeToken>& tokens) const;

  BpeModelData data_;
  std::array<std::int32_t, 256> byte_ids_{};  // -1: the byte has no token
  MergeTable merges_;
  std::unique_ptr<WordCache> cache_;
};

}  // namespace shine
