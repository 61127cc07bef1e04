#include "data/store/store_dataset.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/hash.h"
#include "data/sampling/permutation.h"
#include "data/sampling/random_streams.h"
#include "shine/common/error.h"

namespace shine {
namespace {

const TokenStore& checked(const TokenStore& store, const PretrainForm& form) {
  store.require_contents(StoreContents::texts);
  store.require_tokenizer(form.tokenizer(), form.options().special_tokens);
  const auto longest = static_cast<std::int64_t>(store.index().statistics.longest);
  if (form.splits() && longest > form.room()) {
    throw ConfigError(str("holds a document of ", longest, " tokens, and data.over_long is split"),
                      store.folder().string(),
                      str("a store is split when it is written: shine_prepare text --split ", form.room()));
  }
  return store;
}

}  // namespace

StoreDataset::StoreDataset(std::shared_ptr<const TokenStore> store, std::shared_ptr<const Tokenizer> tokenizer,
                           const PretrainOptions& options, const std::vector<std::uint64_t>& held_out)
    : store_(std::move(store)),
      form_(std::move(tokenizer), options),
      groups_(open_groups(checked(*store_, form_), form_, held_out)) {
  Fnv1a hash;
  hash.add(form_.fingerprint()).add(group_key(*store_, form_, held_out));
  fingerprint_ = hash.value();
}

Sample StoreDataset::sample(std::int64_t epoch, std::size_t index) const {
  std::vector<PretrainText> group;
  for (const std::size_t document : groups_.documents(index)) {
    std::vector<std::int64_t> ids = store_->ids(document);
    std::string text = form_.tokenizer().decode(ids);
    group.push_back({std::move(text), std::move(ids)});
  }
  return form_.make(epoch, index, group);
}

std::vector<std::size_t> held_out_documents(const TokenStore& store, double share, std::uint64_t seed) {
  SHINE_CHECK(share >= 0 && share < 1, ConfigError, "the validation share must be in [0, 1), found ", share);
  if (share == 0) return {};
  const std::size_t documents = store.documents();
  if (documents < 2) {
    throw ConfigError(str("a validation share needs at least two documents, found ", documents),
                      store.folder().string(), "name validation files, or set the share to 0");
  }
  const auto wanted = static_cast<std::size_t>(std::llround(share * static_cast<double>(documents)));
  std::vector<std::size_t> chosen(std::clamp<std::size_t>(wanted, 1, documents - 1));
  const Permutation order(stream_of(seed, RandomPurpose::validation_split).next(), documents);
  for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = static_cast<std::size_t>(order.at(i));
  std::ranges::sort(chosen);
  return chosen;
}

HeldOut hold_out(const TokenStore& store, const Tokenizer& tokenizer, double share, std::uint64_t seed) {
  HeldOut held;
  for (const std::size_t document : held_out_documents(store, share, seed)) {
    held.texts.push_back(tokenizer.decode(store.ids(document)));
    held.hashes.push_back(store.hash(document));
  }
  return held;
}

}  // namespace shine
