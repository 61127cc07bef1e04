#include "data/sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string>

#include "common/format.h"
#include "common/random.h"
#include "data/sampling/rank_share.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

using Batches = std::vector<std::vector<std::size_t>>;

/// Micro-batches from the place to the end of the epoch; checks that the steps are as many and as full as they must be.
Batches take_epoch(Sampler& sampler, std::size_t accumulation, std::int64_t epoch) {
  Batches all;
  for (std::size_t left = sampler.steps_left(); left > 0; --left) {
    EXPECT_EQ(sampler.steps_left(), left);
    StepPlan plan = sampler.next_step();
    EXPECT_EQ(plan.epoch, epoch);
    EXPECT_EQ(plan.after, sampler.state());
    EXPECT_GE(plan.batches.size(), 1U);
    EXPECT_LE(plan.batches.size(), accumulation);
    EXPECT_TRUE(left == 1 || plan.batches.size() == accumulation);
    std::ranges::move(plan.batches, std::back_inserter(all));
  }
  EXPECT_EQ(sampler.state().epoch, epoch + 1);
  EXPECT_EQ(sampler.state().next, 0U);
  return all;
}

std::vector<std::size_t> flat(const Batches& batches) {
  std::vector<std::size_t> all;
  for (const auto& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

std::vector<std::size_t> sorted(std::vector<std::size_t> indices) {
  std::ranges::sort(indices);
  return indices;
}

std::vector<std::size_t> up_to(std::size_t count) {
  std::vector<std::size_t> all(count);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

std::vector<std::int64_t> random_tokens(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::int64_t> tokens(count);
  for (std::int64_t& length : tokens) length = 1 + static_cast<std::int64_t>(random.below(1000));
  return tokens;
}

SamplerOptions by_length(std::vector<std::int64_t> tokens, std::size_t batch_size, std::size_t accumulation = 3) {
  return {.batch_size = batch_size,
          .accumulation = accumulation,
          .seed = 5,
          .order = SampleOrder::by_length,
          .tokens = std::move(tokens)};
}

std::string message_of(Sampler& sampler, const SamplerState& state) {
  return test::fault_of<ConfigError>([&] { sampler.restore(state); });
}

TEST(Sampler, EachSampleOncePerEpochInAnotherOrder) {
  Sampler sampler(103, {.batch_size = 10, .seed = 1});
  EXPECT_EQ(sampler.steps_per_epoch(), 11U);
  const auto first = flat(take_epoch(sampler, 1, 0));
  const auto second = flat(take_epoch(sampler, 1, 1));
  EXPECT_NE(first, second);
  for (const auto& order : {first, second}) {
    EXPECT_NE(order, up_to(103));
    EXPECT_EQ(sorted(order), up_to(103));
  }
  Sampler other_seed(103, {.batch_size = 10, .seed = 2});
  EXPECT_NE(flat(take_epoch(other_seed, 1, 0)), first);
}

TEST(Sampler, TheShuffledOrderIsTheOneThatCheckpointsRelyOn) {
  Sampler sampler(13, {.batch_size = 4, .accumulation = 3, .seed = UINT64_C(1) << 40});
  EXPECT_EQ(sampler.next_step().batches, (Batches{{4, 3, 8, 7}, {1, 12, 6, 11}, {5, 0, 2, 10}}));
  EXPECT_EQ(sampler.next_step().batches, (Batches{{9}}));
  EXPECT_EQ(sampler.next_step().batches, (Batches{{10, 12, 4, 7}, {8, 3, 0, 6}, {11, 1, 2, 5}}));
  EXPECT_EQ(sampler.next_step().batches, (Batches{{9}}));
  EXPECT_EQ(sampler.next_step().batches.front(), (std::vector<std::size_t>{1, 12, 6, 3}));
}

TEST(Sampler, TheShuffledOrderDependsOnSeedAndEpochAlone) {
  Sampler by_one(17, {.seed = 9});
  Sampler by_five(17, {.batch_size = 5, .accumulation = 3, .seed = 9, .tokens = random_tokens(17, 1)});
  EXPECT_EQ(flat(take_epoch(by_one, 1, 0)), flat(take_epoch(by_five, 3, 0)));
}

TEST(Sampler, StepsAreWholeUntilTheEndOfTheEpoch) {
  Random random(7);
  for (int trial = 0; trial < 300; ++trial) {
    const std::size_t samples = 1 + random.below(200);
    SamplerOptions options{.batch_size = 1 + random.below(9), .accumulation = 1 + random.below(9), .seed = 3};
    if (trial % 2 == 0) {
      options.order = SampleOrder::by_length;
      options.tokens = random_tokens(samples, 8);
    }
    Sampler sampler(samples, options);
    const std::size_t batches = (samples + options.batch_size - 1) / options.batch_size;
    EXPECT_EQ(sampler.steps_per_epoch(), (batches + options.accumulation - 1) / options.accumulation);
    EXPECT_EQ(sampler.steps_left(), sampler.steps_per_epoch());
    for (const std::int64_t epoch : {0, 1}) {
      const Batches all = take_epoch(sampler, options.accumulation, epoch);
      EXPECT_EQ(all.size(), batches);
      EXPECT_EQ(sorted(flat(all)), up_to(samples));
      for (const auto& batch : all) EXPECT_TRUE(batch.size() == options.batch_size || &batch == &all.back());
    }
  }
}

TEST(Sampler, ARestoredPlaceGoesOnExactly) {
  for (const auto& options : {SamplerOptions{.batch_size = 4, .accumulation = 2, .seed = 5},
                              by_length(random_tokens(403, 6), /*batch_size=*/2)}) {
    Sampler whole(options.tokens.empty() ? 23 : 403, options);
    for (int step = 0; step < 80; ++step) {
      Sampler resumed(whole.state().samples, options);
      resumed.restore(whole.state());
      EXPECT_EQ(resumed.state(), whole.state());
      EXPECT_EQ(resumed.steps_left(), whole.steps_left());
      Sampler copy = whole;
      for (int i = 0; i < 15; ++i) {
        const StepPlan expected = copy.next_step();
        const StepPlan found = resumed.next_step();
        EXPECT_EQ(found.epoch, expected.epoch);
        EXPECT_EQ(found.batches, expected.batches);
        EXPECT_EQ(found.after, expected.after);
      }
      whole.next_step();
    }
  }
}

TEST(Sampler, AShuffledEpochMayGoOnInOtherStepsWithoutRepeatOrLoss) {
  Random random(11);
  for (int trial = 0; trial < 200; ++trial) {
    const std::size_t samples = 2 + random.below(150);
    const SamplerOptions before{.batch_size = 1 + random.below(7), .accumulation = 1 + random.below(5), .seed = 3};
    const SamplerOptions after{.batch_size = 1 + random.below(7), .accumulation = 1 + random.below(5), .seed = 3};
    Sampler first(samples, before);
    std::vector<std::size_t> seen;
    for (std::size_t steps = random.below(first.steps_per_epoch()); steps > 0; --steps) {
      const auto part = flat(first.next_step().batches);
      seen.insert(seen.end(), part.begin(), part.end());
    }
    Sampler second(samples, after);
    second.restore(first.state());
    const std::size_t batches = (samples - seen.size() + after.batch_size - 1) / after.batch_size;
    EXPECT_EQ(second.steps_left(), (batches + after.accumulation - 1) / after.accumulation);
    const auto rest = flat(take_epoch(second, after.accumulation, 0));
    seen.insert(seen.end(), rest.begin(), rest.end());
    Sampler undisturbed(samples, before);
    EXPECT_EQ(seen, flat(take_epoch(undisturbed, before.accumulation, 0)));
  }
}

TEST(Sampler, TheEndOfAnEpochIsTheStartOfTheNext) {
  Sampler sampler(8, {.batch_size = 4, .seed = 5});
  sampler.next_step();
  EXPECT_EQ(sampler.steps_left(), 1U);
  EXPECT_EQ(sampler.next_step().after, (SamplerState{.epoch = 1, .next = 0, .samples = 8, .seed = 5}));
  EXPECT_EQ(sampler.steps_left(), 2U);
}

TEST(Sampler, RefusesAPlaceOfOtherData) {
  Sampler sampler(8, {.batch_size = 4, .seed = 5});
  EXPECT_THROW(sampler.restore({.epoch = 0, .next = 4, .samples = 9, .seed = 5}), ConfigError);
  EXPECT_THROW(sampler.restore({.epoch = 0, .next = 4, .samples = 8, .seed = 6}), ConfigError);
  EXPECT_THROW(sampler.restore({.epoch = 0, .next = 8, .samples = 8, .seed = 5}), ConfigError);
  EXPECT_THROW(sampler.restore({.epoch = -1, .next = 0, .samples = 8, .seed = 5}), ConfigError);
  EXPECT_THROW(Sampler(0, {.batch_size = 4}), ConfigError);
  EXPECT_THROW(Sampler(4, {.batch_size = 0}), ConfigError);
  EXPECT_THROW(Sampler(4, {.accumulation = 0}), ConfigError);
  EXPECT_THROW(Sampler(4, by_length({1, 2, 3}, 2)), ConfigError);
}

/// Mean over micro-batches of the difference between their longest and their shortest sample.
double mean_spread(const Batches& batches, const std::vector<std::int64_t>& tokens) {
  double sum = 0;
  for (const auto& batch : batches) {
    const auto [shortest, longest] = std::ranges::minmax(batch, {}, [&](std::size_t i) { return tokens[i]; });
    sum += static_cast<double>(tokens[longest] - tokens[shortest]);
  }
  return sum / static_cast<double>(batches.size());
}

TEST(ByLength, SamplesOfSimilarLengthShareAMicroBatch) {
  for (const std::size_t samples : {97U, 1535U, 1536U, 1537U, 5003U}) {  // a window has 1536
    const auto tokens = random_tokens(samples, 3);
    Sampler shuffled(samples, {.batch_size = 8, .accumulation = 3, .seed = 5});
    Sampler sampler(samples, by_length(tokens, 8));
    const Batches batches = take_epoch(sampler, 3, 0);
    EXPECT_EQ(sorted(flat(batches)), up_to(samples));
    EXPECT_LT(mean_spread(batches, tokens), samples < 500 ? 100 : 20) << samples;
    EXPECT_GT(mean_spread(take_epoch(shuffled, 3, 0), tokens), 700) << samples;
    EXPECT_NE(flat(take_epoch(sampler, 3, 1)), flat(batches)) << "another order in each epoch";
    // The steps of a window are not ordered by length.
    std::vector<std::int64_t> lengths;
    for (std::size_t i = 0; i < batches.size(); i += 3) lengths.push_back(tokens[batches[i].front()]);
    int rises = 0;
    for (std::size_t i = 1; i < lengths.size(); ++i) rises += lengths[i] > lengths[i - 1] ? 1 : 0;
    EXPECT_NEAR(rises / static_cast<double>(lengths.size()), 0.5, 0.25) << samples;
  }
}

/// The busiest rank's tokens as a multiple of their mean, over the steps of an epoch.
double busiest_rank(Sampler& sampler, const std::vector<std::int64_t>& tokens, int ranks) {
  double sum = 0;
  const std::size_t steps = sampler.steps_per_epoch();
  for (std::size_t step = 0; step < steps; ++step) {
    const StepPlan plan = sampler.next_step();
    std::vector<std::int64_t> of_batches;
    for (const auto& batch : plan.batches) {
      of_batches.push_back(0);
      for (const std::size_t i : batch) of_batches.back() += tokens[i];
    }
    std::int64_t busiest = 0;
    for (const auto& share : share_batches(of_batches, ranks)) {
      std::int64_t load = 0;
      for (const std::size_t i : share) load += of_batches[i];
      busiest = std::max(busiest, load);
    }
    const auto all = std::reduce(of_batches.begin(), of_batches.end());
    sum += static_cast<double>(busiest * ranks) / static_cast<double>(all) / static_cast<double>(steps);
  }
  return sum;
}

TEST(ByLength, RanksHaveEquallyMuchToDoInEveryStep) {
  const auto tokens = random_tokens(6400, 9);
  for (const std::size_t batch_size : {1U, 4U}) {
    for (const int ranks : {2, 4, 8}) {
      const auto accumulation = static_cast<std::size_t>(ranks);  // a micro-batch a rank
      Sampler sampler(6400, by_length(tokens, batch_size, accumulation));
      Sampler shuffled(6400, {.batch_size = batch_size, .accumulation = accumulation, .seed = 5});
      const double ours = busiest_rank(sampler, tokens, ranks), without = busiest_rank(shuffled, tokens, ranks);
      RecordProperty(format("ranks_%d_batch_%d", ranks, static_cast<int>(batch_size)),
                     format("%.3f, shuffled %.3f", ours, without));
      EXPECT_LT(ours, 1.05) << ranks;
      EXPECT_GT(without, 1.1) << ranks;
    }
  }
}

TEST(ByLength, TheSmallerMicroBatchIsOfAnyLength) {
  constexpr std::size_t samples = 63;
  std::vector<std::int64_t> tokens(samples);
  std::iota(tokens.begin(), tokens.end(), 1);
  Sampler sampler(samples, by_length(tokens, 6, /*accumulation=*/11));
  std::vector<std::int64_t> lengths;
  for (int epoch = 0; epoch < 200; ++epoch) {
    const auto smaller = sampler.next_step().batches.back();
    ASSERT_EQ(smaller.size(), 3U);
    lengths.push_back(tokens[smaller.front()]);
  }
  const auto [shortest, longest] = std::ranges::minmax(lengths);
  EXPECT_EQ(shortest, 1);
  EXPECT_EQ(longest, 61);
  EXPECT_NEAR(static_cast<double>(std::reduce(lengths.begin(), lengths.end())) / 200, 31, 5);
}

TEST(ByLength, AnotherOrderOrBatchSizeInsideAnEpochIsNoticed) {
  const auto tokens = random_tokens(40, 1);
  Sampler by_four(40, by_length(tokens, 4));
  const SamplerState inside = by_four.next_step().after;
  EXPECT_EQ(
      inside,
      (SamplerState{
          .epoch = 0, .next = 12, .samples = 40, .seed = 5, .by_length_batch_size = 4, .by_length_accumulation = 3}));

  Sampler by_six(40, by_length(tokens, 6));
  EXPECT_NE(message_of(by_six, inside)
                .find("order is by_length in steps of 3 x 4, this run's is by_length in steps of 3 x 6"),
            std::string::npos)
      << message_of(by_six, inside);
  Sampler by_five(40, by_length(tokens, 4, 5));
  EXPECT_NE(message_of(by_five, inside).find("steps of 3 x 4, this run's is by_length in steps of 5 x 4"),
            std::string::npos);
  Sampler shuffled(40, {.batch_size = 4, .seed = 5});
  EXPECT_NE(message_of(shuffled, inside).find("by_length in steps of 3 x 4, this run's is shuffled"),
            std::string::npos);
  const SamplerState shuffled_inside = shuffled.next_step().after;
  EXPECT_NE(message_of(by_four, shuffled_inside).find("shuffled, this run's is by_length in steps of 3 x 4"),
            std::string::npos);
  EXPECT_NE(
      message_of(
          by_four,
          {.epoch = 0, .next = 5, .samples = 40, .seed = 5, .by_length_batch_size = 4, .by_length_accumulation = 3})
          .find("inside a micro-batch"),
      std::string::npos);
  EXPECT_EQ(by_four.state(), inside) << "a refused place changes nothing";
}

TEST(ByLength, BetweenEpochsOrderAndBatchSizeMayChange) {
  const auto tokens = random_tokens(40, 1);
  Sampler by_four(40, by_length(tokens, 4));
  take_epoch(by_four, 3, 0);
  Sampler by_six(40, by_length(tokens, 6));
  by_six.restore(by_four.state());
  EXPECT_EQ(by_six.state().by_length_batch_size, 6U);
  EXPECT_EQ(sorted(flat(take_epoch(by_six, 3, 1))), up_to(40));
  Sampler shuffled(40, {.batch_size = 4, .seed = 5});
  shuffled.restore(by_four.state());
  EXPECT_EQ(shuffled.state(), (SamplerState{.epoch = 1, .next = 0, .samples = 40, .seed = 5}));
}

TEST(Sampler, AComputedOrderHoldsEachSampleOnceAndGoesOnAnywhere) {
  const SamplerOptions options{.batch_size = 3, .accumulation = 2, .seed = 7, .computed_order = true};
  Sampler sampler(100, options);
  std::vector<std::size_t> before;
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<std::size_t> order = flat(take_epoch(sampler, 2, epoch));
    EXPECT_NE(order, before);
    before = order;
    std::ranges::sort(order);
    for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
  }
  Sampler whole(100, options);
  for (int step = 0; step < 20; ++step) {
    Sampler part(100, options);
    part.restore(whole.state());
    EXPECT_EQ(part.next_step().batches, whole.next_step().batches);
  }
  test::expect_fault<ConfigError>("data.order=shuffled", [] {
    Sampler(2, {.order = SampleOrder::by_length, .tokens = {1, 2}, .computed_order = true});
  });
}

}  // namespace
}  // namespace shine
