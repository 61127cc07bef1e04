#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "shine/distributed/process_group.h"
#include "shine/tensor/named_tensor.h"

namespace shine {

/// Two sums over the bits of a tensor: a plain one, and one with a weight for each position. Computed on the tensor's
/// device; equal bits give equal sums on any device.
std::array<std::int64_t, 2> bit_sums(const at::Tensor& tensor);

/// Compares tensors over the ranks, which all call with the same names. Throws DivergenceError on every rank, naming
/// the first tensor that differs and the ranks on which it differs from rank 0.
/// @param when  "at step 100", for the message
void require_equal_tensors(ProcessGroup& ranks, const std::vector<NamedTensor>& tensors, const std::string& when);

}  // namespace shine
