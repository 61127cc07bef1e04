#include "data/store/token_store.h"

#include <algorithm>
#include <utility>

#include "data/store/tokenizer_fingerprint.h"
#include "shine/common/error.h"

namespace shine {

std::unique_ptr<const TokenShard> open_shard(const std::filesystem::path& folder, const StoreIndex& index,
                                             std::size_t number) {
  const std::filesystem::path path = folder / shard_name(number);
  auto shard = std::make_unique<const TokenShard>(std::make_unique<const MappedFile>(path));
  const StoreIndex::Shard& expected = index.shards.at(number);
  const ShardHeader& header = shard->header();
  const StoreIndex::Shard found{header.documents, header.tokens, header.content};
  if (found != expected || header.number != number ||
      header.vocabulary != static_cast<std::uint64_t>(index.vocabulary)) {
    throw FormatError(str("is not the shard that ", kStoreIndexName, " names"), path.string(),
                      "restore it, or write the store again: shine_prepare text");
  }
  return shard;
}

TokenStore::TokenStore(std::filesystem::path folder) : folder_(std::move(folder)), index_(read_store_index(folder_)) {
  if (index_.next) {
    throw FormatError("the store is not complete: its writer was interrupted", folder_.string(),
                      "run the same shine_prepare text again, it goes on");
  }
  for (std::size_t i = 0; i < index_.shards.size(); ++i) {
    shards_.push_back(open_shard(folder_, index_, i));
    starts_.push_back(starts_.back() + shards_.back()->documents());
  }
}

TokenStore::Place TokenStore::find(std::size_t document) const {
  SHINE_CHECK(document < documents(), ConfigError, "there is no document ", document, ", the store has ", documents());
  const auto behind = std::ranges::upper_bound(starts_, document);
  const auto shard = static_cast<std::size_t>(behind - starts_.begin()) - 1;
  return {shards_[shard].get(), document - starts_[shard]};
}

std::uint64_t TokenStore::length(std::size_t document) const {
  const Place place = find(document);
  return place.shard->length(place.document);
}

std::vector<std::int64_t> TokenStore::ids(std::size_t document) const {
  const Place place = find(document);
  return place.shard->ids(place.document);
}

std::uint64_t TokenStore::hash(std::size_t document) const {
  const Place place = find(document);
  return place.shard->hash(place.document);
}

void TokenStore::require_tokenizer(const Tokenizer& tokenizer, SpecialTokens treatment) const {
  if (tokenizer_fingerprint(tokenizer) != index_.tokenizer || tokenizer.size() != index_.text_vocabulary()) {
    throw ConfigError("the store was written with another tokenizer", folder_.string(),
                      "use that one, or write the store again: shine_prepare text");
  }
  if (treatment != index_.options.special_tokens) {
    const bool parsed = index_.options.special_tokens == SpecialTokens::parse;
    throw ConfigError(str("the store was written with special tokens ", parsed ? "parsed" : "escaped"),
                      folder_.string(),
                      str("set text.special_tokens=", parsed ? "parse" : "escape", ", or write the store again"));
  }
}

void TokenStore::require_contents(StoreContents contents) const {
  if (contents == index_.options.contents) return;
  if (contents == StoreContents::texts) {
    throw ConfigError("the store holds questions, and texts are wanted", folder_.string(),
                      "name one that shine_prepare text wrote without --questions");
  }
  throw ConfigError("the store holds texts, and questions are wanted", folder_.string(),
                    "name one that shine_prepare text --questions wrote");
}

void TokenStore::verify() const {
  for (const auto& shard : shards_) shard->verify();
}

}  // namespace shine
