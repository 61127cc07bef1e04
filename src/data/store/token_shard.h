#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/store/shard_format.h"
#include "io/files/mapped_file.h"

namespace shine {

/// A shard of a token store in mapped memory: opening it reads a page or two, whatever its size.
class TokenShard {
 public:
  /// Throws FormatError where the header is damaged or does not fit the file.
  explicit TokenShard(std::unique_ptr<const MappedFile> file);

  const ShardHeader& header() const { return header_; }
  std::size_t documents() const { return documents_; }

  /// Tokens of a document.
  /// @param document  below documents()
  /// Throws FormatError where its offsets lead outside.
  std::uint64_t length(std::size_t document) const;

  /// Its ids, each below header().vocabulary. Throws FormatError where one is not, and as length.
  std::vector<std::int64_t> ids(std::size_t document) const;

  /// text_hash of its text.
  std::uint64_t hash(std::size_t document) const;

  /// Reads all of the file and compares its checksum; throws FormatError.
  void verify() const;

 private:
  [[noreturn]] void fail(std::string_view what) const;
  template <class Number>
  Number number_at(std::uint64_t byte) const;

  std::unique_ptr<const MappedFile> file_;
  ShardHeader header_;
  std::size_t documents_ = 0;
};

}  // namespace shine
