#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "data/store/store_index.h"
#include "data/store/token_shard.h"

namespace shine {

/// Opens shard `number` of a store. Throws FormatError where it is not the one that the index names.
std::unique_ptr<const TokenShard> open_shard(const std::filesystem::path& folder, const StoreIndex& index,
                                             std::size_t number);

/// Documents as token ids in files that are mapped into memory: opening costs a page or two a shard, and processes on
/// one machine share the pages. May be read from several threads at once. The files must not change meanwhile.
class TokenStore {
 public:
  /// Throws FormatError for a store that is not complete or damaged, IoError.
  explicit TokenStore(std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  const StoreIndex& index() const { return index_; }
  std::size_t documents() const { return starts_.back(); }

  /// Of a document: its tokens, its ids, text_hash of its text.
  /// @param document  below documents(); throws ConfigError otherwise, FormatError where the shard is damaged there
  std::uint64_t length(std::size_t document) const;
  std::vector<std::int64_t> ids(std::size_t document) const;
  std::uint64_t hash(std::size_t document) const;

  /// Throws ConfigError where it holds something else.
  void require_contents(StoreContents contents) const;

  /// Throws ConfigError unless the tokenizer is the one that the store was written with.
  /// @param treatment  of special tokens, which must be the store's too
  void require_tokenizer(const Tokenizer& tokenizer, SpecialTokens treatment) const;

  /// Reads everything and compares all checksums; throws FormatError.
  void verify() const;

 private:
  struct Place {
    const TokenShard* shard;
    std::size_t document;
  };
  Place find(std::size_t document) const;

  std::filesystem::path folder_;
  StoreIndex index_;
  std::vector<std::unique_ptr<const TokenShard>> shards_;
  std::vector<std::size_t> starts_{0};  ///< the first document of each shard, and the end
};

}  // namespace shine
