#include "kernels/cuda/flat_chunks.h"

#include <gtest/gtest.h>

namespace shine::test {
namespace {

TEST(FlatChunks, CoverEveryRangeOnce) {
  const std::vector<cuda::FlatRange> ranges{{32, 0, 5, 0, 2}, {64, 5, 2 * cuda::kFlatChunkValues + 1, 1, 0}};
  const cuda::FlatTables tables = cuda::cut_into_chunks(ranges);
  ASSERT_EQ(tables.parts.size(), 2U);
  ASSERT_EQ(tables.chunks.size(), 4U);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    std::int64_t covered = 0;
    EXPECT_EQ(tables.parts[i].place, ranges[i].place);
    for (std::int64_t chunk = 0; chunk < tables.parts[i].chunks; ++chunk) {
      const cuda::FlatChunk& found = tables.chunks[static_cast<std::size_t>(tables.parts[i].first_chunk + chunk)];
      EXPECT_EQ(found.begin, ranges[i].begin + covered);
      EXPECT_EQ(found.offset, ranges[i].offset + covered);
      EXPECT_EQ(found.group, ranges[i].group);
      EXPECT_LE(found.numel, cuda::kFlatChunkValues);
      covered += found.numel;
    }
    EXPECT_EQ(covered, ranges[i].numel);
  }
}

}  // namespace
}  // namespace shine::test
