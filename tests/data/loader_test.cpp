#include "shine/data/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>

#include "shine/common/error.h"

namespace shine {
namespace {

/// Samples that name their place; one of them may be broken.
class CountingDataset : public Dataset {
 public:
  CountingDataset(std::size_t size, std::int64_t broken_epoch = -1) : size_(size), broken_epoch_(broken_epoch) {}

  std::size_t size() const override { return size_; }
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

void expect_equal(const MicroBatch& batch, const IndexBatch& expected) {
  EXPECT_EQ(batch.epoch, expected.epoch);
  ASSERT_EQ(batch.samples.size(), expected.indices.size());
  for (std::size_t i = 0; i < batch.samples.size(); ++i) {
    EXPECT_EQ(batch.samples[i].conversation_ids,
              (std::vector<std::int64_t>{expected.epoch, static_cast<std::int64_t>(expected.indices[i])}));
  }
}

TEST(Loader, GivesTheSamplersBatchesInOrder) {
  for (const std::size_t ahead : {1U, 2U, 50U}) {
    Sampler sampler(11, 3, 4);
    Loader loader(std::make_shared<CountingDataset>(11), sampler, ahead);
    for (int i = 0; i < 30; ++i) {
      const auto expected = sampler.next();
      const auto batch = loader.next();
      expect_equal(batch, expected);
      EXPECT_EQ(batch.resume, sampler.state());
    }
  }
}

TEST(Loader, ResumesAfterTheBatchThatWasUsedWhateverWasPrepared) {
  const auto dataset = std::make_shared<CountingDataset>(11);
  Loader whole(dataset, Sampler(11, 3, 4), 5);
  for (int i = 0; i < 6; ++i) whole.next();
  const SamplerState saved = whole.next().resume;

  Sampler sampler(11, 3, 4);
  sampler.restore(saved);
  Loader resumed(dataset, sampler, 2);
  for (int i = 0; i < 10; ++i) {
    const auto expected = whole.next();
    const auto found = resumed.next();
    EXPECT_EQ(found.resume, expected.resume);
    ASSERT_EQ(found.samples.size(), expected.samples.size());
    for (std::size_t s = 0; s < found.samples.size(); ++s) {
      EXPECT_EQ(found.samples[s].conversation_ids, expected.samples[s].conversation_ids);
    }
  }
}

TEST(Loader, CarriesAnExceptionToTheBatchItBroke) {
  Loader loader(std::make_shared<CountingDataset>(4, /*broken_epoch=*/1), Sampler(4, 2, 0), 8);
  loader.next();
  loader.next();
  EXPECT_THROW(loader.next(), std::out_of_range);
  EXPECT_THROW(loader.next(), std::out_of_range);
}

TEST(Loader, PreparesNoMoreThanAskedAndStopsWhenDropped) {
  const auto dataset = std::make_shared<CountingDataset>(100);
  {
    Loader loader(dataset, Sampler(100, 1, 0), 3);
    loader.next();
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (dataset->made < 4 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(dataset->made, 4U);
  }
  EXPECT_EQ(dataset.use_count(), 1);
}

TEST(Loader, RefusesWhatDoesNotFit) {
  const auto dataset = std::make_shared<CountingDataset>(4);
  EXPECT_THROW(Loader(dataset, Sampler(5, 2, 0), 1), ConfigError);
  EXPECT_THROW(Loader(dataset, Sampler(4, 2, 0), 0), ConfigError);
}

}  // namespace
}  // namespace shine
