// Sizes of the benchmarks, and what the command line changes of them.
#include "bench/size_options.h"

#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "support/faults.h"

namespace shine::bench {
namespace {

TEST(BenchSizes, AnUnknownNameListsTheKnownOnes) {
  test::expect_fault<ConfigError>("cpu-small, tiny, 0.6b, 1.7b, 8b", [&] { find_size("9b"); });
}

TEST(BenchSizes, OptionsReplaceWhatTheSizeSays) {
  SizeOptions options;
  options.name = "tiny";
  options.batch = 3;
  options.context = 50;
  options.shortest = 10;
  options.longest = 12;
  options.rank = 5;
  const BenchSize size = choose_size(options);
  EXPECT_EQ(size.batch, 3);
  EXPECT_EQ(size.accumulation, 2);
  EXPECT_EQ(size.hypernetwork.lora_rank, 5);
  EXPECT_EQ(size.hypernetwork.meta_lora_rank, 8);
  for (const ModelBatch& batch : draw_batches(size, /*seed=*/1, /*step=*/0, at::kCPU)) {
    ASSERT_EQ(batch.samples(), 3);
    for (std::int64_t row = 0; row < 3; ++row) {
      EXPECT_EQ(batch.contexts.layout.length(row), 50);
      EXPECT_GE(batch.conversations.layout.length(row), 10);
      EXPECT_LE(batch.conversations.layout.length(row), 12);
    }
  }
}

TEST(BenchSizes, PublishedSizesTakeDrawnLengthsToo) {
  SizeOptions options;
  options.name = "0.6b";
  options.shortest = 10;
  options.longest = 12;
  for (const auto& context : draw_contexts(choose_size(options), /*seed=*/1, /*rows=*/4)) {
    EXPECT_GE(context.size(), 10U);
    EXPECT_LE(context.size(), 12U);
  }
}

TEST(BenchSizes, LengthsThatContradictEachOtherAreAnError) {
  SizeOptions options;
  options.name = "tiny";
  options.shortest = 100;
  EXPECT_THROW(choose_size(options), ConfigError);
}

}  // namespace
}  // namespace shine::bench
