#include "shine/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "shine/common/error.h"

namespace shine {
namespace {

std::vector<std::size_t> take_epoch(Sampler& sampler, std::int64_t epoch) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < sampler.batches_per_epoch(); ++i) {
    const auto batch = sampler.next();
    EXPECT_EQ(batch.epoch, epoch);
    order.insert(order.end(), batch.indices.begin(), batch.indices.end());
  }
  return order;
}

TEST(Sampler, EachSampleOncePerEpochInAnotherOrder) {
  Sampler sampler(103, 10, 1);
  EXPECT_EQ(sampler.batches_per_epoch(), 11U);
  const auto first = take_epoch(sampler, 0);
  const auto second = take_epoch(sampler, 1);
  EXPECT_NE(first, second);
  std::vector<std::size_t> all(103);
  std::iota(all.begin(), all.end(), std::size_t{0});
  for (auto order : {first, second}) {
    EXPECT_NE(order, all);
    std::ranges::sort(order);
    EXPECT_EQ(order, all);
  }
  Sampler other_seed(103, 10, 2);
  EXPECT_NE(take_epoch(other_seed, 0), first);
}

TEST(Sampler, TheOrderDoesNotDependOnTheBatchSize) {
  Sampler by_one(17, 1, 9);
  Sampler by_five(17, 5, 9);
  EXPECT_EQ(take_epoch(by_one, 0), take_epoch(by_five, 0));
  EXPECT_EQ(by_five.batches_per_epoch(), 4U);
}

TEST(Sampler, ARestoredPlaceGoesOnExactly) {
  Sampler whole(23, 4, 5);
  for (int batch = 0; batch < 20; ++batch) {
    Sampler resumed(23, 4, 5);
    resumed.restore(whole.state());
    EXPECT_EQ(resumed.state(), whole.state());
    Sampler twin = whole;
    for (int i = 0; i < 15; ++i) {
      const auto expected = twin.next();
      const auto found = resumed.next();
      EXPECT_EQ(found.epoch, expected.epoch);
      EXPECT_EQ(found.indices, expected.indices);
    }
    whole.next();
  }
}

TEST(Sampler, TheEndOfAnEpochIsTheStartOfTheNext) {
  Sampler sampler(8, 4, 5);
  sampler.next();
  EXPECT_EQ(sampler.next().indices.size(), 4U);
  EXPECT_EQ(sampler.state(), (SamplerState{.epoch = 1, .next = 0, .samples = 8, .seed = 5}));
}

TEST(Sampler, RefusesAPlaceOfOtherData) {
  Sampler sampler(8, 4, 5);
  EXPECT_THROW(sampler.restore({.epoch = 0, .next = 4, .samples = 9, .seed = 5}), ConfigError);
  EXPECT_THROW(sampler.restore({.epoch = 0, .next = 4, .samples = 8, .seed = 6}), ConfigError);
  EXPECT_THROW(sampler.restore({.epoch = 0, .next = 8, .samples = 8, .seed = 5}), ConfigError);
  EXPECT_THROW(sampler.restore({.epoch = -1, .next = 0, .samples = 8, .seed = 5}), ConfigError);
  EXPECT_THROW(Sampler(0, 4, 5), ConfigError);
  EXPECT_THROW(Sampler(4, 0, 5), ConfigError);
}

}  // namespace
}  // namespace shine
