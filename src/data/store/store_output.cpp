#include "data/store/store_output.h"

#include <utility>

#include "data/store/token_store.h"
#include "io/files/atomic_folder.h"
#include "shine/common/error.h"

namespace shine {

StoreOutput::StoreOutput(std::filesystem::path folder, StoreIndex wanted)
    : folder_(std::move(folder)), index_(std::move(wanted)), shard_(index_.vocabulary) {
  remove_partial_entries(folder_);
  if (is_token_store(folder_)) {
    const StoreIndex begun = std::exchange(index_, read_store_index(folder_));
    check_same(begun);
    check_shards();
  } else {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (entry.path().filename() == "lock") continue;
      throw ConfigError("the folder holds something and is no token store", folder_.string(),
                        "choose another --output");
    }
    index_.next = InputPlace{};
    write_store_index(folder_, index_);
  }
  statistics_ = index_.statistics;
}

void StoreOutput::check_same(const StoreIndex& wanted) const {
  const auto refuse = [this](std::string_view what) {
    throw ConfigError(what, folder_.string(), "go on with the same, remove the store, or choose another --output");
  };
  if (index_.options != wanted.options) refuse("this store was begun with other options");
  if (index_.tokenizer != wanted.tokenizer || index_.vocabulary != wanted.vocabulary) {
    refuse("this store was begun with another tokenizer");
  }
  if (index_.inputs != wanted.inputs) refuse("this store was begun with other files (names and sizes are compared)");
}

void StoreOutput::check_shards() const {
  for (std::size_t i = 0; i < index_.shards.size(); ++i) open_shard(folder_, index_, i);
}

void StoreOutput::add(std::span<const std::int64_t> ids, std::uint64_t hash) {
  shard_.add(ids, hash);
  ++statistics_.documents;
  statistics_.tokens += ids.size();
  statistics_.count_length(ids.size());
}

void StoreOutput::reach(const InputPlace& next) {
  index_.next = next;
  if (shard_.bytes() < index_.options.shard_bytes) return;
  write_shard();
  write_store_index(folder_, index_);
}

void StoreOutput::write_shard() {
  const ShardHeader header = shard_.write(folder_, index_.shards.size());
  index_.shards.push_back({header.documents, header.tokens, header.content});
  index_.statistics = statistics_;
}

void StoreOutput::finish() {
  if (shard_.documents() > 0) write_shard();
  index_.next.reset();
  index_.statistics = statistics_;
  write_store_index(folder_, index_);
}

}  // namespace shine
