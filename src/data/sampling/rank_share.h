#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace shine {

/// Which micro-batches of an optimizer step each rank takes, balanced by tokens. Longest first, each micro-batch goes
/// to the rank with the fewest tokens so far, the lowest of equals; the largest load is at most 4/3 of the best
/// possible one. Micro-batches of equal length go round-robin: j to rank j % ranks. Ranks beyond the number of
/// micro-batches have none.
/// @param tokens  of each micro-batch; fewer than 1 counts as 1
/// @return        for each rank its micro-batches, ascending
/// Throws ConfigError unless there is a rank.
std::vector<std::vector<std::size_t>> share_batches(const std::vector<std::int64_t>& tokens, int ranks);

}  // namespace shine
