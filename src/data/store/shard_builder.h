#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "data/store/shard_format.h"

namespace shine {

/// One shard in memory, written at once when it is full.
class ShardBuilder {
 public:
  /// @param vocabulary  above every id
  explicit ShardBuilder(std::int64_t vocabulary) : vocabulary_(vocabulary) {}

  /// @param hash  text_hash of the document's text
  /// Throws ConfigError for an id outside the vocabulary.
  void add(std::span<const std::int64_t> ids, std::uint64_t hash);

  std::size_t documents() const { return hashes_.size(); }

  /// Of the file that write() makes.
  std::uint64_t bytes() const { return shard_bytes(hashes_.size(), ids_.size()); }

  /// Writes the shard, which is complete or absent under its name, and begins an empty one. Returns its header. Throws
  /// IoError.
  ShardHeader write(const std::filesystem::path& folder, std::size_t number);

 private:
  std::int64_t vocabulary_;
  std::vector<std::uint64_t> offsets_{0};
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint32_t> ids_;
};

}  // namespace shine
