#include "data/sampling/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include "common/random.h"
#include "data/sampling/rank_share.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Samples that name their position; one epoch may be broken. Lengths differ by up to 20 to 1.
class CountingDataset : public Dataset {
 public:
  explicit CountingDataset(std::size_t size, std::int64_t broken_epoch = -1)
      : size_(size), broken_epoch_(broken_epoch) {}

  std::size_t size() const override { return size_; }
  std::int64_t tokens(std::size_t index) const override { return 1 + static_cast<std::int64_t>(index * 7 % 20); }
  Sample sample(std::int64_t epoch, std::size_t index) const override {
    ++made;
    if (epoch == broken_epoch_) throw std::out_of_range("broken sample");
    Sample sample;
    sample.conversation_ids = {epoch, static_cast<std::int64_t>(index)};
    return sample;
  }

  mutable std::atomic<std::size_t> made = 0;

 private:
  std::size_t size_;
  std::int64_t broken_epoch_;
};

std::vector<std::size_t> indices_of(const std::vector<Sample>& samples, std::int64_t epoch) {
  std::vector<std::size_t> indices;
  for (const Sample& sample : samples) {
    EXPECT_EQ(sample.conversation_ids.at(0), epoch);
    indices.push_back(static_cast<std::size_t>(sample.conversation_ids.at(1)));
  }
  return indices;
}

void expect_equal(const StepBatches& found, const StepBatches& expected) {
  EXPECT_EQ(found.epoch, expected.epoch);
  EXPECT_EQ(found.positions, expected.positions);
  EXPECT_EQ(found.planned, expected.planned);
  EXPECT_EQ(found.resume, expected.resume);
  ASSERT_EQ(found.micro_batches.size(), expected.micro_batches.size());
  for (std::size_t i = 0; i < found.micro_batches.size(); ++i) {
    EXPECT_EQ(indices_of(found.micro_batches[i], found.epoch), indices_of(expected.micro_batches[i], expected.epoch));
  }
}

/// Loaders of all ranks, side by side.
class Ranks {
 public:
  Ranks(const std::shared_ptr<const Dataset>& dataset, const Sampler& sampler, int ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      loaders_.push_back(
          std::make_unique<Loader>(dataset, sampler, LoaderOptions{.ahead = 2, .rank = rank, .ranks = ranks}));
    }
  }

  /// The step put together from all ranks' parts; checks that these fit.
  StepPlan next() {
    StepPlan step;
    for (std::size_t rank = 0; rank < loaders_.size(); ++rank) {
      const StepBatches part = loaders_[rank]->next();
      if (rank == 0) {
        step = {.epoch = part.epoch, .batches = {}, .after = part.resume};
        step.batches.resize(part.planned);
      }
      EXPECT_EQ(part.epoch, step.epoch);
      EXPECT_EQ(part.resume, step.after);
      EXPECT_EQ(part.planned, step.batches.size());
      EXPECT_EQ(part.positions.size(), part.micro_batches.size());
      EXPECT_TRUE(std::ranges::is_sorted(part.positions));
      for (std::size_t i = 0; i < part.positions.size(); ++i) {
        auto& place = step.batches.at(part.positions[i]);
        EXPECT_TRUE(place.empty()) << "micro-batch " << part.positions[i] << " is given twice";
        place = indices_of(part.micro_batches[i], part.epoch);
      }
    }
    return step;
  }

 private:
  std::vector<std::unique_ptr<Loader>> loaders_;
};

SamplerOptions random_options(const Dataset& dataset, Random& random) {
  SamplerOptions options{
      .batch_size = 1 + random.below(5), .accumulation = 1 + random.below(9), .seed = random.below(100)};
  if (random.below(2) == 0) return options;
  options.order = SampleOrder::by_length;
  options.tokens = token_counts(dataset);
  return options;
}

TEST(Loader, GivesTheSamplersBatchesInOrder) {
  for (const auto& [ahead, threads] : {std::pair{1U, 1}, std::pair{2U, 3}, std::pair{50U, 1}, std::pair{50U, 9}}) {
    Sampler sampler(11, {.batch_size = 3, .accumulation = 3, .seed = 4});
    Loader loader(std::make_shared<CountingDataset>(11), sampler, {.ahead = ahead, .threads = threads});
    for (int i = 0; i < 30; ++i) {
      const StepPlan expected = sampler.next_step();
      const StepBatches step = loader.next();
      EXPECT_EQ(step.epoch, expected.epoch);
      EXPECT_EQ(step.planned, expected.batches.size());
      EXPECT_EQ(step.resume, expected.after);
      ASSERT_EQ(step.micro_batches.size(), expected.batches.size());
      for (std::size_t b = 0; b < step.micro_batches.size(); ++b) {
        EXPECT_EQ(step.positions[b], b);
        EXPECT_EQ(indices_of(step.micro_batches[b], step.epoch), expected.batches[b]);
      }
    }
  }
}

TEST(Loader, RanksTakeTheStepsOfOneProcessEachSampleOncePerEpoch) {
  Random random(1);
  for (int trial = 0; trial < 60; ++trial) {
    const auto dataset = std::make_shared<CountingDataset>(1 + random.below(60));
    const SamplerOptions options = random_options(*dataset, random);
    for (int ranks = 1; ranks <= 5; ++ranks) {
      Sampler sampler(dataset->size(), options);
      const std::size_t steps = sampler.steps_per_epoch();
      Ranks loaders(dataset, sampler, ranks);
      for (const std::int64_t epoch : {0, 1}) {
        std::vector<std::size_t> seen;
        for (std::size_t step = 0; step < steps; ++step) {
          const StepPlan expected = sampler.next_step();
          const StepPlan found = loaders.next();
          EXPECT_EQ(found.epoch, epoch);
          EXPECT_EQ(found.batches, expected.batches) << ranks << " ranks";
          EXPECT_EQ(found.after, expected.after);
          for (const auto& batch : found.batches) seen.insert(seen.end(), batch.begin(), batch.end());
        }
        std::ranges::sort(seen);
        std::vector<std::size_t> all(dataset->size());
        std::iota(all.begin(), all.end(), std::size_t{0});
        EXPECT_EQ(seen, all) << ranks << " ranks";
      }
    }
  }
}

TEST(Loader, AnyOtherNumberOfRanksGoesOnFromAnyStep) {
  Random random(2);
  for (int trial = 0; trial < 25; ++trial) {
    const auto dataset = std::make_shared<CountingDataset>(20 + random.below(60));
    const SamplerOptions options = random_options(*dataset, random);
    Sampler undisturbed(dataset->size(), options);
    Ranks first(dataset, undisturbed, 1 + static_cast<int>(random.below(4)));
    for (std::size_t done = 0; done < 12; ++done) {
      EXPECT_EQ(first.next().batches, undisturbed.next_step().batches);
      Sampler sampler(dataset->size(), options);
      sampler.restore(undisturbed.state());
      Ranks resumed(dataset, sampler, 1 + static_cast<int>(random.below(5)));
      Sampler expected = undisturbed;
      for (int step = 0; step < 5; ++step) EXPECT_EQ(resumed.next().batches, expected.next_step().batches);
    }
  }
}

TEST(Loader, TheBatchesOfAStepAreSharedOutByTheirTokens) {
  const auto dataset = std::make_shared<CountingDataset>(40);
  Sampler sampler(40, {.batch_size = 2, .accumulation = 7, .seed = 4});
  Loader loader(dataset, sampler, {.rank = 1, .ranks = 3});
  for (int step = 0; step < 6; ++step) {
    std::vector<std::int64_t> tokens;
    for (const auto& batch : sampler.next_step().batches) {
      tokens.push_back(0);
      for (const std::size_t index : batch) tokens.back() += dataset->tokens(index);
    }
    EXPECT_EQ(loader.next().positions, share_batches(tokens, 3)[1]);
  }
}

TEST(Loader, MakesTheSamplesOfItsRankAlone) {
  const auto dataset = std::make_shared<CountingDataset>(12);
  const Sampler sampler(12, {.batch_size = 2, .accumulation = 2, .seed = 4});
  {
    Loader without_work(dataset, sampler, {.rank = 2, .ranks = 3});
    for (int step = 0; step < 7; ++step) {
      const StepBatches mine = without_work.next();
      EXPECT_TRUE(mine.micro_batches.empty());
      EXPECT_TRUE(mine.positions.empty());
      EXPECT_EQ(mine.planned, 2U);
    }
    EXPECT_EQ(without_work.next().epoch, 2);
  }
  EXPECT_EQ(dataset->made, 0U);
  {
    Loader half(dataset, sampler, {.ahead = 1, .rank = 1, .ranks = 2});
    EXPECT_EQ(half.next().micro_batches.size(), 1U);
  }
  EXPECT_LE(dataset->made, 4U) << "the step given, and the one ahead";
}

TEST(Loader, ResumesAfterTheStepThatWasUsedWhateverWasPrepared) {
  const auto dataset = std::make_shared<CountingDataset>(11);
  const SamplerOptions options{.batch_size = 3, .accumulation = 2, .seed = 4};
  Loader whole(dataset, Sampler(11, options), {.ahead = 5});
  for (int i = 0; i < 6; ++i) whole.next();
  const SamplerState saved = whole.next().resume;

  Sampler sampler(11, options);
  sampler.restore(saved);
  Loader resumed(dataset, sampler, {});
  for (int i = 0; i < 10; ++i) expect_equal(resumed.next(), whole.next());
}

TEST(Loader, CarriesAnExceptionToTheStepItBroke) {
  Loader loader(std::make_shared<CountingDataset>(4, /*broken_epoch=*/1), Sampler(4, {.batch_size = 2}), {.ahead = 8});
  loader.next();
  loader.next();
  EXPECT_THROW(loader.next(), std::out_of_range);
  EXPECT_THROW(loader.next(), std::out_of_range);
}

TEST(Loader, PreparesNoMoreThanAskedAndStopsWhenDropped) {
  const auto dataset = std::make_shared<CountingDataset>(100);
  {
    Loader loader(dataset, Sampler(100, {.accumulation = 5}), {.ahead = 3});
    loader.next();
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (dataset->made < 20 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(dataset->made, 20U);
  }
  EXPECT_EQ(dataset.use_count(), 1);
}

/// Takes its time for each sample.
class SlowDataset : public CountingDataset {
 public:
  using CountingDataset::CountingDataset;
  Sample sample(std::int64_t epoch, std::size_t index) const override {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return CountingDataset::sample(epoch, index);
  }
};

TEST(Loader, StopsInsideAStep) {
  const auto dataset = std::make_shared<SlowDataset>(5000);
  { Loader loader(dataset, Sampler(5000, {.batch_size = 100, .accumulation = 50}), {}); }
  EXPECT_LT(dataset->made, 1000U);
}

/// Remembers which threads made its samples.
class ThreadsDataset : public SlowDataset {
 public:
  using SlowDataset::SlowDataset;
  Sample sample(std::int64_t epoch, std::size_t index) const override {
    {
      const std::lock_guard lock(mutex_);
      threads.insert(std::this_thread::get_id());
    }
    return SlowDataset::sample(epoch, index);
  }

  mutable std::set<std::thread::id> threads;

 private:
  mutable std::mutex mutex_;
};

TEST(Loader, MakesTheSamplesOfAStepOnItsThreads) {
  for (const int threads : {1, 3}) {
    const auto dataset = std::make_shared<ThreadsDataset>(60);
    {
      Loader loader(dataset, Sampler(60, {.batch_size = 4, .accumulation = 15}), {.ahead = 1, .threads = threads});
      loader.next();
    }
    EXPECT_EQ(dataset->threads.size() > 1, threads > 1);
    EXPECT_FALSE(dataset->threads.contains(std::this_thread::get_id()));
  }
}

TEST(Loader, RefusesWhatDoesNotFit) {
  const auto dataset = std::make_shared<CountingDataset>(4);
  const Sampler sampler(4, {.batch_size = 2});
  EXPECT_THROW(Loader(dataset, Sampler(5, {.batch_size = 2}), {}), ConfigError);
  EXPECT_THROW(Loader(dataset, sampler, {.ahead = 0}), ConfigError);
  EXPECT_THROW(Loader(dataset, sampler, {.threads = 0}), ConfigError);
  EXPECT_THROW(Loader(dataset, sampler, {.rank = 2, .ranks = 2}), ConfigError);
  EXPECT_THROW(Loader(dataset, sampler, {.rank = -1, .ranks = 2}), ConfigError);
}

}  // namespace
}  // namespace shine
