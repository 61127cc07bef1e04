#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace shine::bench {

/// Records what LibTorch's profiler sees while it lives, kernels of a GPU too; at most one at a time.
class StepTrace {
 public:
  explicit StepTrace(at::Device device);
  ~StepTrace();
  StepTrace(const StepTrace&) = delete;
  StepTrace& operator=(const StepTrace&) = delete;

  /// Ends the recording and writes it in Chrome's format ("traceEvents"). Throws IoError for a file that cannot be
  /// written.
  void save(const std::string& file);

 private:
  at::Device device_;
  bool recording_ = false;
};

}  // namespace shine::bench
