#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shine/distributed/process_group.h"

namespace shine {

/// Two sums over the bits of a tensor: one plain, one in which every position has a weight of its own. Made on the
/// tensor's device; two tensors of the same bits have the same sums on any device.
std::array<std::int64_t, 2> bit_sums(const at::Tensor& tensor);

/// Compares tensors over the ranks, which all call with the same names. Throws DivergenceError on every rank, naming
/// the first tensor that is not the same everywhere and the ranks that differ from rank 0.
/// @param when  "at step 100", for the message
void require_equal_tensors(ProcessGroup& ranks, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                           const std::string& when);

}  // namespace shine
