#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace shine {

/// Hash for maps keyed by strings that are looked up by views.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

struct BpeMerge {
  std::int32_t left = 0;
  std::int32_t right = 0;
  std::int32_t merged = 0;
};

struct BpeModelData {
  StringMap<std::int32_t> vocabulary;   // spelled token (see byte_level.h) -> id
  std::vector<BpeMerge> merges;         // the first is done first
  bool ignore_merges = false;           // a word that is a token is that token, whatever the merges say
  std::optional<std::int32_t> unknown;  // stands for bytes that have no token; without it they vanish
  bool fuse_unknown = false;            // one unknown token for neighbouring such bytes
};

/// A token and the bytes of the word it stands for.
struct BpeToken {
  std::int32_t id = 0;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

/// Byte-pair encoding of single words, in O(n log n). Short words are remembered. Thread-safe.
class BpeModel {
 public:
  explicit BpeModel(BpeModelData data);
  ~BpeModel();

  /// Appends the tokens of one word, given as raw bytes (less than 2^31 of them).
  void tokenize(std::string_view word, std::vector<BpeToken>& tokens) const;

  const StringMap<std::int32_t>& vocabulary() const { return data_.vocabulary; }

 private:
  struct Symbol;
  struct Cache;
  struct MergeRule {
    std::int32_t rank = 0;
    std::int32_t merged = 0;
  };

  const MergeRule* find_merge(std::int32_t left, std::int32_t right) const;
  std::vector<Symbol> make_symbols(std::string_view word) const;
  void merge_symbols(std::vector<Symbol>& symbols) const;
  std::vector<BpeToken> merge_word(std::string_view word) const;

  BpeModelData data_;
  std::array<std::int32_t, 256> byte_ids_{};  // -1: the byte has no token
  std::unordered_map<std::uint64_t, MergeRule> rules_;
  std::unique_ptr<Cache> cache_;
};

}  // namespace shine
