#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace shine::cuda {

/// A piece of one tensor's part in flat memory: what one block works on.
struct FlatChunk {
  std::int64_t begin;   ///< in values and gradients
  std::int64_t offset;  ///< in the moments
  std::int32_t numel;
  std::int32_t group;
};

/// Which chunks make up a tensor's part, and which tensor it is.
struct FlatPart {
  std::int64_t first_chunk, chunks;
  std::int64_t place;
};

inline constexpr std::int64_t kFlatChunkValues = 1 << 14;

/// A tensor's part in flat memory.
struct FlatRange {
  std::int64_t begin, offset, numel;
  std::int32_t group;
  std::int64_t place;
};

struct FlatTables {
  std::vector<FlatChunk> chunks;
  std::vector<FlatPart> parts;
};

/// Cuts the ranges into chunks of at most kFlatChunkValues; a part's chunks follow each other.
inline FlatTables cut_into_chunks(const std::vector<FlatRange>& ranges) {
  FlatTables tables;
  for (const FlatRange& range : ranges) {
    const auto first = static_cast<std::int64_t>(tables.chunks.size());
    for (std::int64_t from = 0; from < range.numel; from += kFlatChunkValues) {
      const auto numel = static_cast<std::int32_t>(std::min(kFlatChunkValues, range.numel - from));
      tables.chunks.push_back({range.begin + from, range.offset + from, numel, range.group});
    }
    tables.parts.push_back({first, static_cast<std::int64_t>(tables.chunks.size()) - first, range.place});
  }
  return tables;
}

}  // namespace shine::cuda
