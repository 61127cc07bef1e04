#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shine::bench {

/// Self time of all calls of one operation.
struct OpCost {
  std::string name;  ///< matrix products are split by their smallest side
  double self_seconds = 0.0;
  double flops = 0.0;  ///< of matrix products, else 0
  std::int64_t calls = 0;
};

/// Times every operation that LibTorch reports, on all threads, while it lives; at most one at a time.
/// Host time: on a GPU it shows launches, not kernels.
class OpProfile {
 public:
  OpProfile();
  ~OpProfile();
  OpProfile(const OpProfile&) = delete;
  OpProfile& operator=(const OpProfile&) = delete;

  /// By self time, highest first.
  std::vector<OpCost> costs() const;

 private:
  std::uint64_t handle_ = 0;
};

}  // namespace shine::bench
