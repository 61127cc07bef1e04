#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "data/store/shard_builder.h"
#include "data/store/store_index.h"

namespace shine {

/// The folder of a store that is written: whole shards, and an index that names them.
class StoreOutput {
 public:
  /// Begins a store, or goes on with one.
  /// @param wanted  tokenizer, vocabulary, options and inputs
  /// Throws ConfigError where the folder holds a store of others, or something else; FormatError where a shard that the
  /// index names is damaged.
  StoreOutput(std::filesystem::path folder, StoreIndex wanted);

  const StoreIndex& index() const { return index_; }
  StoreStatistics& statistics() { return statistics_; }
  const StoreStatistics& statistics() const { return statistics_; }

  /// Adds a document to the shard in memory and to the statistics.
  void add(std::span<const std::int64_t> ids, std::uint64_t hash);

  /// Everything before `next` was added: writes the shard if it is full.
  void reach(const InputPlace& next);

  /// Writes what is left. The store is complete.
  void finish();

 private:
  void write_shard();
  void check_same(const StoreIndex& wanted) const;
  void check_shards() const;

  std::filesystem::path folder_;
  StoreIndex index_;
  StoreStatistics statistics_;
  ShardBuilder shard_;
};

}  // namespace shine
