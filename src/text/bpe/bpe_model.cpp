#include "text/bpe/bpe_model.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>

#include "shine/common/error.h"
#include "text/bpe/byte_level.h"

namespace shine {
namespace {

constexpr std::int32_t kNone = -1;
constexpr std::int32_t kNoMerge = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kShortTokens = 48;  // up to here, looking at all pairs beats a queue

// The neighbours of a token of a long word, by index; a token merged into its left neighbour is no longer linked.
struct Links {
  std::int32_t previous;
  std::int32_t next;
};

}  // namespace

BpeModel::BpeModel(BpeModelData data)
    : data_(std::move(data)), merges_(data_.merges), cache_(std::make_unique<WordCache>()) {
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const char raw = static_cast<char>(static_cast<unsigned char>(byte));
    const auto found = data_.vocabulary.find(spell_bytes({&raw, 1}));
    byte_ids_[byte] = found == data_.vocabulary.end() ? kNone : found->second;
  }
}

void BpeModel::append_bytes(std::string_view word, std::vector<BpeToken>& tokens) const {
  bool after_unknown = false;
  for (std::size_t at = 0; at < word.size(); ++at) {
    std::int32_t id = byte_ids_[static_cast<unsigned char>(word[at])];
    const bool is_unknown = id == kNone;
    if (is_unknown) {
      if (!data_.unknown) continue;
      if (after_unknown && data_.fuse_unknown) {
        ++tokens.back().end;
        continue;
      }
      id = *data_.unknown;
    }
    after_unknown = is_unknown;
    const auto begin = static_cast<std::uint32_t>(at);
    tokens.push_back({id, begin, begin + 1});
  }
}

// Both forms do the merge of lowest rank first, of several the leftmost, and return how many tokens are left.
std::size_t BpeModel::merge_short(std::span<BpeToken> tokens) const {
  std::array<std::int32_t, kShortTokens> ranks;  // of the pair that begins at each token
  std::array<std::int32_t, kShortTokens> merged;
  std::size_t count = tokens.size();
  const auto look_up = [&](std::size_t i) {
    const MergeRule* rule = i + 1 < count ? merges_.find(tokens[i].id, tokens[i + 1].id) : nullptr;
    ranks[i] = rule ? rule->rank : kNoMerge;
    merged[i] = rule ? rule->merged : kNone;
  };
  for (std::size_t i = 0; i < count; ++i) look_up(i);
  while (count > 1) {
    const auto best = static_cast<std::size_t>(
        std::min_element(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(count)) - ranks.begin());
    if (ranks[best] == kNoMerge) break;
    tokens[best].id = merged[best];
    tokens[best].end = tokens[best + 1].end;
    --count;
    for (std::size_t i = best + 1; i < count; ++i) {
      tokens[i] = tokens[i + 1];
      ranks[i] = ranks[i + 1];
      merged[i] = merged[i + 1];
    }
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
  return count;
}

std::size_t BpeModel::merge_long(std::span<BpeToken> tokens) const {
  const auto count = static_cast<std::int32_t>(tokens.size());
  std::vector<Links> links;
  links.reserve(tokens.size());
  for (std::int32_t i = 0; i < count; ++i) links.push_back({i - 1, i + 1 < count ? i + 1 : kNone});
  const auto token_at = [&](std::int32_t i) -> BpeToken& { return tokens[static_cast<std::size_t>(i)]; };
  const auto links_at = [&](std::int32_t i) -> Links& { return links[static_cast<std::size_t>(i)]; };
  const auto rule_at = [&](std::int32_t i) {
    const std::int32_t next = links_at(i).next;
    return next == kNone ? nullptr : merges_.find(token_at(i).id, token_at(next).id);
  };
  // A possible merge: its rank, then the index of its left token.
  const auto candidate = [](const MergeRule& rule, std::int32_t i) {
    return static_cast<std::uint64_t>(rule.rank) << 32 | static_cast<std::uint32_t>(i);
  };
  std::vector<std::uint64_t> initial;
  for (std::int32_t i = 0; i < count; ++i) {
    if (const MergeRule* rule = rule_at(i)) initial.push_back(candidate(*rule, i));
  }
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> queue({}, std::move(initial));
  while (!queue.empty()) {
    const auto rank = static_cast<std::size_t>(queue.top() >> 32);
    const auto left = static_cast<std::int32_t>(queue.top() & 0xFFFFFFFFU);
    queue.pop();
    const std::int32_t right = links_at(left).next;
    const MergeRule* rule = rule_at(left);
    if (!rule || rule->merged != data_.merges[rank].merged) continue;  // a neighbour has changed since
    token_at(left).id = rule->merged;
    token_at(left).end = token_at(right).end;
    token_at(right).id = kNone;
    links_at(left).next = links_at(right).next;
    links_at(right).next = kNone;
    if (links_at(left).next != kNone) links_at(links_at(left).next).previous = left;
    if (const MergeRule* following = rule_at(left)) queue.push(candidate(*following, left));
    const std::int32_t previous = links_at(left).previous;
    if (previous == kNone) continue;
    if (const MergeRule* preceding = rule_at(previous)) queue.push(candidate(*preceding, previous));
  }
  const auto end =
      std::remove_if(tokens.begin(), tokens.end(), [](const BpeToken& token) { return token.id == kNone; });
  return static_cast<std::size_t>(end - tokens.begin());
}

void BpeModel::merge_word(std::string_view word, std::vector<BpeToken>& tokens) const {
  if (data_.ignore_merges) {
    const auto found = data_.vocabulary.find(spell_bytes(word));
    if (found != data_.vocabulary.end()) {
      tokens.push_back({found->second, 0, static_cast<std::uint32_t>(word.size())});
      return;
    }
  }
  const std::size_t before = tokens.size();
  append_bytes(word, tokens);
  const std::span<BpeToken> added = std::span(tokens).subspan(before);
  tokens.resize(before + (added.size() <= kShortTokens ? merge_short(added) : merge_long(added)));
}

void BpeModel::tokenize(std::string_view word, std::vector<BpeToken>& tokens) const {
  if (word.size() > std::numeric_limits<std::int32_t>::max())
    throw UnsupportedError(str("a text of ", word.size(), " bytes without a break"), {}, "cut the text");
  if (cache_->find(word, tokens)) return;
  const std::size_t before = tokens.size();
  merge_word(word, tokens);
  cache_->store(word, std::span(tokens).subspan(before));
}

}  // namespace shine
