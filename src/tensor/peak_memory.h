#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>

namespace shine {

/// Waits until the device has finished all queued work; needed before a clock is read.
void synchronize(at::Device device);

/// Peak memory of a piece of work, above what was in use when it began.
/// CPU: resident set; free memory of the C library is returned to the system first, and the kernel's high-water mark
/// (VmHWM) is reset through /proc/self/clear_refs and read at the end.
/// Other devices: bytes allocated by LibTorch.
class PeakMemory {
 public:
  /// False on a CPU whose system does not let /proc/self/clear_refs be written.
  static bool can_measure(at::Device device);

  /// Throws IoError where /proc/self/clear_refs cannot be written.
  explicit PeakMemory(at::Device device);

  std::size_t bytes_at_start() const { return start_; }
  std::size_t bytes_above_start() const;

 private:
  at::Device device_;
  std::size_t start_ = 0;
};

}  // namespace shine
