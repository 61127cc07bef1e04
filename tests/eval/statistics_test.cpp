#include "eval/report/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace shine {
namespace {

TEST(Statistics, QuantilesAreLinearBetweenValues) {
  const std::vector<double> values = {40, 10, 20, 30};
  EXPECT_DOUBLE_EQ(quantile(values, 0.0), 10);
  EXPECT_DOUBLE_EQ(quantile(values, 0.1), 13);
  EXPECT_DOUBLE_EQ(quantile(values, 0.5), 25);
  EXPECT_DOUBLE_EQ(quantile(values, 0.9), 37);
  EXPECT_DOUBLE_EQ(quantile(values, 1.0), 40);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.9), 7);
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
  EXPECT_DOUBLE_EQ(mean(values), 25);
  EXPECT_TRUE(std::isnan(mean({})));
}

TEST(Statistics, AClusterCountsByItsValues) {
  const Interval interval = bootstrap_mean({{3.0, 3}, {0.0, 1}}, 500, 1);
  EXPECT_DOUBLE_EQ(interval.mean, 0.75);
  EXPECT_DOUBLE_EQ(interval.low, 0.0);   // a quarter of the resamples draws the second cluster twice
  EXPECT_DOUBLE_EQ(interval.high, 1.0);  // and a quarter the first
}

TEST(Statistics, TheIntervalIsThatOfAMeanOfManyClusters) {
  std::vector<Cluster> clusters;
  for (int i = 0; i < 400; ++i) clusters.push_back({i % 2 == 0 ? 5.0 : 0.0, 5});
  const Interval interval = bootstrap_mean(clusters, 4000, 7);
  const double half_width = 1.96 * 0.5 / std::sqrt(400.0);
  EXPECT_DOUBLE_EQ(interval.mean, 0.5);
  EXPECT_NEAR(interval.low, 0.5 - half_width, 0.005);
  EXPECT_NEAR(interval.high, 0.5 + half_width, 0.005);
}

TEST(Statistics, TheSeedDecidesTheResamples) {
  const std::vector<Cluster> clusters = {{0.1, 1}, {0.9, 1}, {0.35, 1}, {0.2, 1}, {0.77, 1}};
  const auto low = [&](std::uint64_t seed) { return bootstrap_mean(clusters, 50, seed).low; };
  EXPECT_EQ(low(1), low(1));
  EXPECT_NE(low(1), low(2));
}

TEST(Statistics, OneClusterHasNoSpread) {
  const Interval interval = bootstrap_mean({{1.0, 4}}, 10, 0);
  EXPECT_EQ(interval.low, 0.25);
  EXPECT_EQ(interval.high, 0.25);
  EXPECT_TRUE(std::isnan(bootstrap_mean({}, 10, 0).mean));
}

}  // namespace
}  // namespace shine
