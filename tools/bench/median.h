#pragma once

#include <algorithm>
#include <vector>

namespace shine::bench {

/// The middle one of at least one value; of an even number the upper of the two.
inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace shine::bench
