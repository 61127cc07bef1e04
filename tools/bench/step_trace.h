#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace shine::bench {

/// Runs LibTorch's profiler while it lives, GPU kernels included; at most one at a time.
class StepTrace {
 public:
  explicit StepTrace(at::Device device);
  ~StepTrace();
  StepTrace(const StepTrace&) = delete;
  StepTrace& operator=(const StepTrace&) = delete;

  /// Stops profiling and writes the trace in Chrome's format ("traceEvents"). Throws IoError for a file that cannot be
  /// written.
  void save(const std::string& file);

 private:
  at::Device device_;
  bool recording_ = false;
};

}  // namespace shine::bench
