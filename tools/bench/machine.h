#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>

namespace shine::bench {

/// Seconds of a clock that never goes back, once the device has done all it was given.
double now(at::Device device);

/// FLOP/s of a 1024 x 1024 x 1024 matrix product: the best of several runs. What the floor is computed from.
double measure_product_rate(at::ScalarType dtype, at::Device device);

/// Peak memory of a stretch of work, above what was in use when it began.
/// CPU: resident set; the kernel's high-water mark (VmHWM) is reset through /proc/self/clear_refs and read at the end.
/// Other devices: bytes given out by LibTorch's allocator.
class PeakMemory {
 public:
  /// Throws IoError where /proc/self/clear_refs cannot be written.
  explicit PeakMemory(at::Device device);

  std::size_t bytes_at_start() const { return start_; }
  std::size_t bytes_above_start() const;

 private:
  at::Device device_;
  std::size_t start_ = 0;
};

/// The system's load average over the last minute.
double load_average();

}  // namespace shine::bench
