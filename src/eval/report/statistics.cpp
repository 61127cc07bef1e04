#include "eval/report/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/random.h"

namespace shine {
namespace {

constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();
constexpr double kTail = 0.025;  // on each side of a 95 % interval

}  // namespace

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return kNoValue;
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - std::floor(place)) * (values[above] - values[below]);
}

double mean(const std::vector<double>& values) {
  if (values.empty()) return kNoValue;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Interval bootstrap_mean(const std::vector<Cluster>& clusters, std::int64_t resamples, std::uint64_t seed) {
  if (clusters.empty()) return {kNoValue, kNoValue, kNoValue};
  const auto mean_of = [&](auto&& draw) {
    Cluster pool;
    for (std::size_t i = 0; i < clusters.size(); ++i) {
      const Cluster& cluster = clusters[draw(i)];
      pool.sum += cluster.sum;
      pool.count += cluster.count;
    }
    return pool.sum / static_cast<double>(pool.count);
  };
  Random random(seed);
  std::vector<double> means(static_cast<std::size_t>(resamples));
  for (double& value : means) {
    value = mean_of([&](std::size_t) { return static_cast<std::size_t>(random.below(clusters.size())); });
  }
  return {mean_of([](std::size_t i) { return i; }), quantile(means, kTail), quantile(means, 1 - kTail)};
}

}  // namespace shine
