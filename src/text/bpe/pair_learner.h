#pragma once

#include <cstdint>
#include <map>
#include <queue>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "text/bpe/bpe_model.h"

namespace shine {

/// The learning of byte pairs: counts every pair of neighbours in a list of words and merges the most frequent one,
/// again and again. Counts are kept up to date only where a merge changes them.
class PairLearner {
 public:
  /// @param words  distinct words as raw bytes, and how often each occurs
  explicit PairLearner(const std::map<std::string, std::int64_t>& words);

  /// Merges until there are `tokens` tokens or no pair occurs `min_frequency` times.
  void learn(std::int64_t tokens, std::int64_t min_frequency);

  /// Raw bytes by id; the first 256 are the bytes in the order of the byte-level alphabet.
  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::vector<BpeMerge>& merges() const { return merges_; }

 private:
  struct Word {
    std::vector<std::int32_t> symbols;
    std::int64_t count = 0;
  };
  struct Pair {
    std::int64_t count = 0;
    std::int32_t left = 0;
    std::int32_t right = 0;
    /// Less urgent: rarer, or as frequent with larger ids.
    bool operator<(const Pair& other) const;
  };
  struct Statistics {
    std::int64_t count = 0;
    std::unordered_set<std::uint32_t> words;  // that hold the pair, or held it once
  };
  using PairMap = std::unordered_map<std::uint64_t, Statistics>;

  static std::uint64_t key(std::int32_t left, std::int32_t right);
  void change_count(std::int32_t left, std::int32_t right, std::int64_t change, std::uint32_t word);
  std::int32_t token_of_merge(std::int32_t left, std::int32_t right);
  void merge_in_word(std::uint32_t index, const BpeMerge& merge);

  std::vector<Word> words_;
  std::vector<std::string> tokens_;
  StringMap<std::int32_t> ids_;
  std::vector<BpeMerge> merges_;
  PairMap pairs_;
  std::vector<std::uint64_t> risen_;  // pairs whose count grew in the merge at hand
  std::priority_queue<Pair> queue_;
};

}  // namespace shine
