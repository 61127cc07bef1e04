#pragma once

#include <cstdint>
#include <vector>

namespace shine {

/// The value below which the share `q` in [0, 1] of the values lies, linear between neighbours (NumPy's default).
/// NaN without values.
double quantile(std::vector<double> values, double q);

/// NaN without values.
double mean(const std::vector<double>& values);

/// A mean and its 95 % confidence interval.
struct Interval {
  double mean = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// Values that belong together, such as the scores of one context's questions.
struct Cluster {
  double sum = 0.0;
  std::int64_t count = 0;  ///< at least 1
};

/// The mean of all values, with the percentile bootstrap over clusters: each resample draws as many clusters as there
/// are, with replacement, and pools their values. Equal seeds and numbers of clusters give the same draws, so that
/// intervals of paired samples go together. All NaN without clusters.
Interval bootstrap_mean(const std::vector<Cluster>& clusters, std::int64_t resamples, std::uint64_t seed);

}  // namespace shine
