// Validation over several ranks: each scores its own batches, all get the same bits.
#include "train/validation.h"

#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <mutex>
#include <set>

#include "support/thread_group.h"
#include "train/tiny_objective.h"

namespace shine::test {
namespace {

/// Rows of one to three labels; notes which samples were made, and how often.
class CountedDataset : public Dataset {
 public:
  explicit CountedDataset(std::size_t size) : size_(size) {}
  std::size_t size() const override { return size_; }
  Sample sample(std::int64_t, std::size_t index) const override {
    const std::lock_guard lock(mutex_);
    made_.insert(index);
    std::vector<std::int64_t> labels(1 + index % 3, static_cast<std::int64_t>(index * 7 % 31));
    if (index % 4 == 2) labels.assign(labels.size(), -100);
    return labelled_row(labels);
  }
  std::multiset<std::size_t> made() const { return made_; }

 private:
  std::size_t size_;
  mutable std::mutex mutex_;
  mutable std::multiset<std::size_t> made_;
};

/// A loss whose sum depends on the order in its last bits.
class UnevenObjective : public QuadraticObjective {
 public:
  UnevenObjective() : QuadraticObjective(0.1) {}
  ObjectiveValue forward(const ModelBatch& batch) const override {
    return {QuadraticObjective::forward(batch).losses.sqrt() * (1.0 / 3), {}};
  }
};

ValidationSet set_of(std::size_t samples, std::shared_ptr<const Objective> objective) {
  return {"held out", std::make_shared<CountedDataset>(samples), std::move(objective)};
}

TEST(ValidationOfRanks, GivesTheBitsOfOneProcessAndMakesEverySampleOnce) {
  for (const std::int64_t batch_size : {1, 2, 3}) {
    const ValidationOptions options{.max_samples = 11, .batch_size = batch_size};
    const auto alone = single_process();
    const ValidationResult expected = *validate(set_of(17, std::make_shared<UnevenObjective>()), options, *alone);
    EXPECT_EQ(expected.samples, 11);
    for (const int ranks : {1, 2, 3, 5, 13}) {
      const ValidationSet set = set_of(17, std::make_shared<UnevenObjective>());
      run_ranks(ranks, [&](ProcessGroup& group) {
        const auto found = validate(set, options, group);
        ASSERT_TRUE(found);
        EXPECT_EQ(std::bit_cast<std::uint64_t>(found->loss), std::bit_cast<std::uint64_t>(expected.loss)) << ranks;
        EXPECT_EQ(found->labels, expected.labels);
        EXPECT_EQ(found->samples, 11);
        EXPECT_EQ(found->name, "held out");
      });
      std::multiset<std::size_t> each;
      for (std::size_t i = 0; i < 11; ++i) each.insert(i);
      EXPECT_EQ(dynamic_cast<const CountedDataset&>(*set.dataset).made(), each);
    }
  }
}

TEST(ValidationOfRanks, ALossThatIsNotFiniteIsOnEveryRank) {
  const ValidationSet set = set_of(8, std::make_shared<QuadraticObjective>(std::numeric_limits<double>::quiet_NaN()));
  run_ranks(3, [&](ProcessGroup& group) { EXPECT_TRUE(std::isnan(validate(set, {.batch_size = 2}, group)->loss)); });
}

TEST(ValidationOfRanks, OneRankThatIsToStopStopsAll) {
  const ValidationSet set = set_of(12, std::make_shared<QuadraticObjective>(1.0));
  for (const int stopped : {0, 1, 2}) {
    run_ranks(3, [&](ProcessGroup& group) {
      int asked = 0;
      const auto stop = [&] { return group.rank() == stopped && ++asked == 2; };
      EXPECT_FALSE(validate(set, {.batch_size = 2, .stop = stop}, group));
    });
  }
}

TEST(ValidationOfRanks, AFaultOfOneRankIsThrown) {
  EXPECT_THROW(run_ranks(2,
                         [&](ProcessGroup& group) {
                           const auto stop = [&]() -> bool {
                             if (group.rank() == 1) throw IoError("no data");
                             return false;
                           };
                           validate(set_of(4, std::make_shared<QuadraticObjective>(1.0)), {.stop = stop}, group);
                         }),
               IoError);
}

}  // namespace
}  // namespace shine::test
