#include "text/bpe/pair_learner.h"

#include <algorithm>

#include "text/bpe/byte_level.h"

namespace shine {
namespace {

constexpr std::size_t kBytes = 256;

// The bytes, sorted by how the byte-level alphabet spells them.
std::vector<std::string> byte_tokens() {
  std::map<std::u8string, std::string> by_spelling;  // UTF-8 sorts like code points
  for (std::size_t byte = 0; byte < kBytes; ++byte) {
    const std::string raw(1, static_cast<char>(static_cast<unsigned char>(byte)));
    const std::string spelled = spell_bytes(raw);
    by_spelling.emplace(std::u8string(spelled.begin(), spelled.end()), raw);
  }
  std::vector<std::string> tokens;
  for (const auto& [spelled, raw] : by_spelling) tokens.push_back(raw);
  return tokens;
}

}  // namespace

bool PairLearner::Pair::operator<(const Pair& other) const {
  if (count != other.count) return count < other.count;
  if (left != other.left) return left > other.left;
  return right > other.right;
}

std::uint64_t PairLearner::key(std::int32_t left, std::int32_t right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
}

PairLearner::PairLearner(const std::map<std::string, std::int64_t>& words) : tokens_(byte_tokens()) {
  for (std::size_t id = 0; id < tokens_.size(); ++id) ids_.emplace(tokens_[id], static_cast<std::int32_t>(id));
  for (const auto& [bytes, count] : words) {
    Word word;
    word.count = count;
    for (const char byte : bytes) word.symbols.push_back(ids_.find(std::string_view(&byte, 1))->second);
    const auto index = static_cast<std::uint32_t>(words_.size());
    for (std::size_t i = 1; i < word.symbols.size(); ++i) {
      change_count(word.symbols[i - 1], word.symbols[i], count, index);
    }
    words_.push_back(std::move(word));
  }
}

void PairLearner::change_count(std::int32_t left, std::int32_t right, std::int64_t change, std::uint32_t word) {
  const std::uint64_t pair = key(left, right);
  Statistics& statistics = pairs_[pair];
  statistics.count += change;
  if (change > 0) {
    statistics.words.insert(word);
    risen_.push_back(pair);
  }
}

std::int32_t PairLearner::token_of_merge(std::int32_t left, std::int32_t right) {
  const std::string bytes = tokens_[static_cast<std::size_t>(left)] + tokens_[static_cast<std::size_t>(right)];
  const auto [place, is_new] = ids_.try_emplace(bytes, static_cast<std::int32_t>(tokens_.size()));
  if (is_new) tokens_.push_back(bytes);
  return place->second;
}

void PairLearner::merge_in_word(std::uint32_t index, const BpeMerge& merge) {
  const Word& word = words_[index];
  std::vector<std::int32_t> merged;
  for (std::size_t i = 0; i < word.symbols.size(); ++i) {
    const bool fits =
        i + 1 < word.symbols.size() && word.symbols[i] == merge.left && word.symbols[i + 1] == merge.right;
    merged.push_back(fits ? merge.merged : word.symbols[i]);
    if (fits) ++i;
  }
  if (merged.size() == word.symbols.size()) return;
  for (std::size_t i = 1; i < word.symbols.size(); ++i) {
    change_count(word.symbols[i - 1], word.symbols[i], -word.count, index);
  }
  for (std::size_t i = 1; i < merged.size(); ++i) change_count(merged[i - 1], merged[i], word.count, index);
  words_[index].symbols = std::move(merged);
}

void PairLearner::learn(std::int64_t tokens, std::int64_t min_frequency) {
  const auto queue_risen = [&] {
    std::sort(risen_.begin(), risen_.end());
    risen_.erase(std::unique(risen_.begin(), risen_.end()), risen_.end());
    for (const std::uint64_t pair : risen_) {
      queue_.push(
          {pairs_[pair].count, static_cast<std::int32_t>(pair >> 32), static_cast<std::int32_t>(pair & 0xFFFFFFFFU)});
    }
    risen_.clear();
  };
  queue_risen();
  while (static_cast<std::int64_t>(tokens_.size()) < tokens && !queue_.empty()) {
    const Pair top = queue_.top();
    queue_.pop();
    const auto found = pairs_.find(key(top.left, top.right));
    if (found == pairs_.end() || found->second.count <= 0) continue;
    if (found->second.count != top.count) {
      if (found->second.count < top.count) queue_.push({found->second.count, top.left, top.right});
      continue;
    }
    if (top.count < min_frequency) break;
    const BpeMerge merge{top.left, top.right, token_of_merge(top.left, top.right)};
    merges_.push_back(merge);
    const std::unordered_set<std::uint32_t> holders = std::move(found->second.words);
    for (const std::uint32_t word : holders) merge_in_word(word, merge);
    pairs_.erase(key(top.left, top.right));
    queue_risen();
  }
}

}  // namespace shine
