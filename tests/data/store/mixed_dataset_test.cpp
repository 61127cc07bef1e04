#include "data/store/mixed_dataset.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

/// Samples that name their set, epoch and index.
class NamedDataset : public Dataset {
 public:
  NamedDataset(std::int64_t name, std::size_t size) : name_(name), size_(size) {}
  std::size_t size() const override { return size_; }
  std::int64_t tokens(std::size_t) const override { return 10 * name_; }
  std::uint64_t fingerprint() const override { return static_cast<std::uint64_t>(name_); }
  Sample sample(std::int64_t epoch, std::size_t index) const override {
    EXPECT_LT(index, size_);
    Sample sample;
    sample.conversation_ids = {name_, epoch, static_cast<std::int64_t>(index)};
    return sample;
  }

 private:
  std::int64_t name_;
  std::size_t size_;
};

std::shared_ptr<const Dataset> named(std::int64_t name, std::size_t size) {
  return std::make_shared<NamedDataset>(name, size);
}

TEST(MixedDataset, TakesPartsAsOftenAsTheirWeightsSay) {
  const MixedDataset mixed({{named(1, 100), 0.25}, {named(2, 10), 3}, {named(3, 7), 1}}, 5);
  ASSERT_EQ(mixed.size(), 25U + 30U + 7U);
  std::map<std::vector<std::int64_t>, int> seen;
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    std::map<std::int64_t, int> of_part;
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      const auto sample = mixed.sample(epoch, i).conversation_ids;
      ++of_part[sample[0]];
      ++seen[sample];
      EXPECT_EQ(mixed.tokens(i), 10 * sample[0]);
    }
    EXPECT_EQ(of_part, (std::map<std::int64_t, int>{{1, 25}, {2, 30}, {3, 7}}));
  }
  // Four epochs: part 1 once, part 2 in 12 passes, part 3 in 4, each sample once a pass.
  EXPECT_EQ(seen.size(), 100U + 120U + 28U);
  for (const auto& [sample, count] : seen) EXPECT_EQ(count, 1);
}

TEST(MixedDataset, TakesAQuarterFromAllOverAPart) {
  const MixedDataset mixed({{named(1, 1000), 0.25}}, 5);
  int low = 0;
  for (std::size_t i = 0; i < mixed.size(); ++i) low += mixed.sample(0, i).conversation_ids[2] < 500 ? 1 : 0;
  EXPECT_NEAR(low, 125, 40);
}

TEST(MixedDataset, IsAnotherWithOtherWeights) {
  const MixedDataset one({{named(1, 100), 1}}, 5), other({{named(1, 100), 2}}, 5), seed({{named(1, 100), 1}}, 6);
  EXPECT_NE(one.fingerprint(), other.fingerprint());
  EXPECT_NE(one.fingerprint(), seed.fingerprint());
}

TEST(MixedDataset, RefusesWeightsThatTakeNothing) {
  for (const double weight : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), 1e300}) {
    test::expect_fault<ConfigError>("weight", [&] { MixedDataset({{named(1, 100), weight}}, 5); });
  }
  test::expect_fault<ConfigError>("without samples", [] { MixedDataset({{named(1, 0), 1}}, 5); });
  test::expect_fault<ConfigError>("no sample 3", [] { MixedDataset({{named(1, 3), 1}}, 5).sample(0, 3); });
}

}  // namespace
}  // namespace shine
