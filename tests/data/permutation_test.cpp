#include "data/sampling/permutation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

TEST(Permutation, HoldsEveryNumberOnce) {
  for (const std::uint64_t size : {1U, 2U, 3U, 4U, 5U, 63U, 64U, 65U, 1000U, 4096U, 4097U}) {
    const Permutation order(7, size);
    std::vector<int> seen(size, 0);
    for (std::uint64_t place = 0; place < size; ++place) {
      const std::uint64_t value = order.at(place);
      ASSERT_LT(value, size);
      ++seen[value];
    }
    for (const int count : seen) ASSERT_EQ(count, 1) << size;
  }
}

TEST(Permutation, DependsOnTheSeedAlone) {
  const Permutation first(1, 1000), again(1, 1000), other(2, 1000);
  int equal = 0;
  for (std::uint64_t place = 0; place < 1000; ++place) {
    EXPECT_EQ(first.at(place), again.at(place));
    equal += first.at(place) == other.at(place) ? 1 : 0;
  }
  EXPECT_LT(equal, 10);  // about one by chance
}

/// Counts of (place / 100, value / 100) against an even share, as a random order has them; the same for neighbours.
TEST(Permutation, ScattersAsARandomOrderDoes) {
  constexpr std::uint64_t size = 100'000;
  constexpr int cells = 10;
  double worst_place = 0, worst_step = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const Permutation order(seed, size);
    std::vector<double> places(cells * cells), steps(cells * cells);
    for (std::uint64_t i = 0; i < size; ++i) {
      const auto value = order.at(i) * cells / size;
      ++places[i * cells / size * cells + value];
      if (i > 0) ++steps[order.at(i - 1) * cells / size * cells + value];
    }
    const double expected = static_cast<double>(size) / (cells * cells);
    double place = 0, step = 0;
    for (int cell = 0; cell < cells * cells; ++cell) {
      place += (places[cell] - expected) * (places[cell] - expected) / expected;
      step += (steps[cell] - expected) * (steps[cell] - expected) / expected;
    }
    worst_place = std::max(worst_place, place);
    worst_step = std::max(worst_step, step);
  }
  // Chi-squared with about 81 degrees of freedom: above 150 with a chance of 10^-5.
  EXPECT_LT(worst_place, 150);
  EXPECT_LT(worst_step, 150);
}

TEST(Permutation, TakesLargeSizes) {
  const std::uint64_t size = (std::uint64_t{1} << 40) + 1;
  const Permutation order(3, size);
  EXPECT_LT(order.at(size - 1), size);
  EXPECT_NE(order.at(0), order.at(1));
}

TEST(Permutation, RefusesPlacesOutside) {
  const Permutation order(3, 10);
  test::expect_fault<ConfigError>("no place 10 in an order of 10", [&] { order.at(10); });
  test::expect_fault<ConfigError>("no order of 0", [] { Permutation(3, 0); });
}

}  // namespace
}  // namespace shine
