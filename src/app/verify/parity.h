#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "shine/common/api.h"
#include "shine/distributed/process_group.h"

namespace shine {

struct ParityOptions {
  at::Device device = at::kCPU;
  std::string dtype = "float32";  ///< or "bfloat16": of the frozen weights and activations, with wider tolerances
  bool shard = false;             ///< of the optimizer, over the ranks
  std::int64_t pass_tokens = 0;   ///< of the training steps, see OptimizerConfig
};

/// One compared quantity.
struct ParityRow {
  std::string name;
  double error = 0.0;      ///< |found - expected| / |expected| (norms); |found| where expected is all zero
  double tolerance = 0.0;  ///< 0: must be equal
  bool passed() const { return error <= tolerance; }  // false for NaN too
};

/// Recomputes every number of a parity fixture of the published implementation and reports each with its error: the
/// tensors of expected.safetensors for micro-batch 0, then, where fixture.json has `steps`, the training steps and the
/// tensors after them. A folder without checkpoint/ is about the backbone alone. The key bias of every in_proj_bias is
/// left out of gradients and trained tensors: its gradient is zero in exact arithmetic.
/// Over several ranks every one makes the same checks, but in the training steps rank r takes the micro-batches
/// r, r + size, .. of each step.
/// @param on_row  called for each row in order, on every rank
/// @return true if every row passed on every rank. Throws UnsupportedError, FormatError or IoError for a folder it
/// cannot use.
SHINE_API bool check_parity(const std::filesystem::path& folder, const ParityOptions& options,
                            const std::shared_ptr<ProcessGroup>& ranks,
                            const std::function<void(const ParityRow&)>& on_row);

}  // namespace shine
