#include "common/random.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

TEST(Random, EqualsThePythonImplementation) {
  std::ifstream file(test::golden_dir() / "data" / "random.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 4U);
  for (const auto& golden : cases) {
    const auto seed = golden["seed"].get<std::uint64_t>();
    Random random(seed);
    for (const auto& number : golden["numbers"]) EXPECT_EQ(random.next(), number.get<std::uint64_t>());
    for (const auto& number : golden["uniforms"]) EXPECT_EQ(random.uniform(), number.get<double>());
    std::vector<std::uint64_t> below;
    for (const std::uint64_t bound : {1ULL, 2ULL, 7ULL, 1000ULL, (1ULL << 63) + 1})
      below.push_back(random.below(bound));
    EXPECT_EQ(below, golden["below"].get<std::vector<std::uint64_t>>());
    std::vector<int> items(12);
    std::iota(items.begin(), items.end(), 0);
    random.shuffle(items);
    EXPECT_EQ(items, golden["shuffled"].get<std::vector<int>>());
    const auto first = [seed](std::initializer_list<std::uint64_t> place) {
      return Random::stream(seed, place).next();
    };
    const std::vector<std::uint64_t> firsts{first({}), first({0}), first({1, 0}), first({0, 1}), first({3, 2, 999})};
    for (std::size_t i = 0; i < firsts.size(); ++i) {
      EXPECT_EQ(firsts[i], golden["streams"][i]["first"].get<std::uint64_t>());
    }
  }
}

TEST(Random, GoesOnFromASavedState) {
  Random random(7);
  random.next();
  Random copy = Random::from_state(random.state());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(copy.next(), random.next());
  EXPECT_THROW(Random::from_state({}), ConfigError);
}

TEST(Random, BelowIsEvenAndUniformIsInRange) {
  Random random(3);
  std::vector<int> counts(5, 0);
  double sum = 0;
  for (int i = 0; i < 50000; ++i) {
    ++counts[random.below(5)];
    const double value = random.uniform(0.1, 0.3);
    ASSERT_GE(value, 0.1);
    ASSERT_LT(value, 0.3);
    sum += value;
  }
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  EXPECT_NEAR(sum / 50000, 0.2, 0.002);
  EXPECT_THROW(random.below(0), ConfigError);
}

}  // namespace
}  // namespace shine
