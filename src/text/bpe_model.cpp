#include "text/bpe_model.h"

#include <functional>
#include <limits>
#include <mutex>
#include <queue>

#include "shine/common/error.h"
#include "text/byte_level.h"

namespace shine {
namespace {

constexpr std::int32_t kNone = -1;
constexpr std::size_t kCachedWordBytes = 64;
constexpr std::size_t kCacheShards = 16;
constexpr std::size_t kShardWords = 1 << 14;

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
}

// A possible merge of the symbol at `position` with its right neighbour.
struct Candidate {
  std::int32_t rank;
  std::int32_t position;
  std::int32_t merged;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

// A part of a word, in a list linked by positions; id kNone once it is merged into its left neighbour.
struct BpeModel::Symbol {
  std::int32_t id;
  std::int32_t previous;
  std::int32_t next;
  std::uint32_t begin;
  std::uint32_t end;
};

struct BpeModel::Cache {
  struct Shard {
    std::mutex mutex;
    StringMap<std::vector<BpeToken>> words;
  };
  std::array<Shard, kCacheShards> shards;

  Shard& shard_of(std::string_view word) { return shards[StringHash{}(word) % kCacheShards]; }
};

BpeModel::BpeModel(BpeModelData data) : data_(std::move(data)), cache_(std::make_unique<Cache>()) {
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const char raw = static_cast<char>(static_cast<unsigned char>(byte));
    const auto found = data_.vocabulary.find(spell_bytes({&raw, 1}));
    byte_ids_[byte] = found == data_.vocabulary.end() ? kNone : found->second;
  }
  rules_.reserve(data_.merges.size());
  for (std::size_t rank = 0; rank < data_.merges.size(); ++rank) {
    const BpeMerge& merge = data_.merges[rank];
    rules_[pair_key(merge.left, merge.right)] = {static_cast<std::int32_t>(rank), merge.merged};
  }
}

BpeModel::~BpeModel() = default;

const BpeModel::MergeRule* BpeModel::find_merge(std::int32_t left, std::int32_t right) const {
  const auto found = rules_.find(pair_key(left, right));
  return found == rules_.end() ? nullptr : &found->second;
}

std::vector<BpeModel::Symbol> BpeModel::make_symbols(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  bool after_unknown = false;
  for (std::size_t at = 0; at < word.size(); ++at) {
    std::int32_t id = byte_ids_[static_cast<unsigned char>(word[at])];
    const bool is_unknown = id == kNone;
    if (is_unknown) {
      if (!data_.unknown) continue;
      if (after_unknown && data_.fuse_unknown) {
        ++symbols.back().end;
        continue;
      }
      id = *data_.unknown;
    }
    after_unknown = is_unknown;
    const auto index = static_cast<std::int32_t>(symbols.size());
    const auto begin = static_cast<std::uint32_t>(at);
    symbols.push_back({id, index - 1, index + 1, begin, begin + 1});
  }
  if (!symbols.empty()) symbols.back().next = kNone;
  return symbols;
}

void BpeModel::merge_symbols(std::vector<Symbol>& symbols) const {
  std::vector<Candidate> initial;
  const auto candidate_at = [&](std::int32_t position) -> std::optional<Candidate> {
    const Symbol& left = symbols[static_cast<std::size_t>(position)];
    if (left.next == kNone) return std::nullopt;
    const MergeRule* rule = find_merge(left.id, symbols[static_cast<std::size_t>(left.next)].id);
    if (!rule) return std::nullopt;
    return Candidate{rule->rank, position, rule->merged};
  };
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    if (const auto candidate = candidate_at(static_cast<std::int32_t>(i))) initial.push_back(*candidate);
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue({}, std::move(initial));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<std::size_t>(top.position)];
    if (left.id == kNone || left.next == kNone) continue;
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    const MergeRule* rule = find_merge(left.id, right.id);
    if (!rule || rule->merged != top.merged) continue;  // a neighbour has changed since
    left.id = top.merged;
    left.end = right.end;
    left.next = right.next;
    right.id = kNone;
    if (left.next != kNone) symbols[static_cast<std::size_t>(left.next)].previous = top.position;
    if (left.previous != kNone) {
      if (const auto candidate = candidate_at(left.previous)) queue.push(*candidate);
    }
    if (const auto candidate = candidate_at(top.position)) queue.push(*candidate);
  }
}

std::vector<BpeToken> BpeModel::merge_word(std::string_view word) const {
  if (data_.ignore_merges) {
    const auto found = data_.vocabulary.find(spell_bytes(word));
    if (found != data_.vocabulary.end()) return {{found->second, 0, static_cast<std::uint32_t>(word.size())}};
  }
  std::vector<Symbol> symbols = make_symbols(word);
  merge_symbols(symbols);
  std::vector<BpeToken> tokens;
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNone) tokens.push_back({symbol.id, symbol.begin, symbol.end});
  }
  return tokens;
}

void BpeModel::tokenize(std::string_view word, std::vector<BpeToken>& tokens) const {
  if (word.size() > std::numeric_limits<std::int32_t>::max())
    throw UnsupportedError(str("a text of ", word.size(), " bytes without a break"), {}, "cut the text");
  if (word.size() > kCachedWordBytes) {
    const std::vector<BpeToken> merged = merge_word(word);
    tokens.insert(tokens.end(), merged.begin(), merged.end());
    return;
  }
  Cache::Shard& shard = cache_->shard_of(word);
  {
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.words.find(word);
    if (found != shard.words.end()) {
      tokens.insert(tokens.end(), found->second.begin(), found->second.end());
      return;
    }
  }
  std::vector<BpeToken> merged = merge_word(word);
  tokens.insert(tokens.end(), merged.begin(), merged.end());
  const std::lock_guard lock(shard.mutex);
  if (shard.words.size() >= kShardWords) shard.words.clear();
  shard.words.emplace(word, std::move(merged));
}

}  // namespace shine
