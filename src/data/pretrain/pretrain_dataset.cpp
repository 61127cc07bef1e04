#include "data/pretrain/pretrain_dataset.h"

#include <iterator>
#include <numeric>
#include <utility>

#include "common/hash.h"
#include "data/pretrain/text_pieces.h"
#include "data/token_row.h"
#include "shine/common/error.h"

namespace shine {

PretrainDataset::PretrainDataset(std::vector<std::string> texts, std::shared_ptr<const Tokenizer> tokenizer,
                                 const PretrainOptions& options, const Progress& progress)
    : texts_(std::move(texts)), form_(std::move(tokenizer), options) {
  SHINE_CHECK(!texts_.empty(), ConfigError, "there is no text to pretrain on");
  if (form_.splits()) split_texts();

  std::vector<std::int64_t> lengths(texts_.size());
  std::vector<std::uint64_t> hashes(texts_.size());
  const auto measure = [&](std::size_t i) {
    const auto ids = form_.tokenizer().encode(texts_[i], form_.options().special_tokens).ids;
    lengths[i] = static_cast<std::int64_t>(ids.size());
    hashes[i] = hash_text(texts_[i], ids);
  };
  parallel_for(texts_.size(), form_.options().threads, measure, progress);
  report_.tokens = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  pack(lengths);
  Fnv1a hash;
  hash.add(form_.fingerprint());
  for (const std::uint64_t text : hashes) hash.add(text);
  fingerprint_ = hash.value();
}

void PretrainDataset::split_texts() {
  std::vector<std::vector<std::string>> pieces(texts_.size());
  const auto split = [&](std::size_t i) {
    pieces[i] = split_text(texts_[i], form_.room(), form_.tokenizer(), form_.options().special_tokens);
  };
  parallel_for(texts_.size(), form_.options().threads, split);
  const std::size_t before = texts_.size();
  texts_.clear();
  for (std::vector<std::string>& some : pieces) std::ranges::move(some, std::back_inserter(texts_));
  report_.split_off = texts_.size() - before;
}

void PretrainDataset::pack(const std::vector<std::int64_t>& lengths) {
  std::vector<std::int64_t> costs = lengths;
  for (std::int64_t& cost : costs) cost = form_.cost(cost);
  TextGroups packed = pack_texts(costs, form_.max_cost(), form_.options().open_groups);
  groups_ = std::move(packed.groups);
  static_cast<PackingReport&>(report_) = packed.report;
  group_tokens_.reserve(groups_.size());
  for (const auto& group : groups_) {
    std::int64_t tokens = 0;
    for (const std::size_t text : group) tokens += lengths[text];
    group_tokens_.push_back(form_.count_group(tokens, group.size(), report_));
  }
}

Sample PretrainDataset::sample(std::int64_t epoch, std::size_t index) const {
  SHINE_CHECK(index < size(), ConfigError, "there is no sample ", index, ", the dataset has ", size());
  std::vector<PretrainText> group;
  for (const std::size_t text : groups_[index]) group.push_back({texts_[text]});
  return form_.make(epoch, index, group);
}

}  // namespace shine
