#include "data/sampling/rank_share.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "shine/common/error.h"

namespace shine {

std::vector<std::vector<std::size_t>> share_batches(const std::vector<std::int64_t>& tokens, int ranks) {
  SHINE_CHECK(ranks > 0, ConfigError, "micro-batches cannot be shared out over ", ranks, " ranks");
  const auto cost = [&](std::size_t batch) { return std::max<std::int64_t>(tokens[batch], 1); };
  std::vector<std::size_t> longest_first(tokens.size());
  std::iota(longest_first.begin(), longest_first.end(), std::size_t{0});
  std::ranges::stable_sort(longest_first, std::ranges::greater(), cost);

  std::vector<std::vector<std::size_t>> shares(static_cast<std::size_t>(ranks));
  std::vector<std::int64_t> loads(shares.size(), 0);
  for (const std::size_t batch : longest_first) {
    const auto least = std::ranges::min_element(loads);  // the first of equals
    shares[static_cast<std::size_t>(least - loads.begin())].push_back(batch);
    *least += cost(batch);
  }
  for (auto& share : shares) std::ranges::sort(share);
  return shares;
}

}  // namespace shine
