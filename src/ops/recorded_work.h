#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace shine {

/// Work on tensors that stay where they are, with fixed sizes and without host reads: a GPU can record its launches
/// once, as a CUDA graph, and replay them at the cost of one.
class RecordedWork {
 public:
  /// @param record  where the device is a GPU; else, and on a CPU, every run calls `work`
  RecordedWork(std::function<void()> work, c10::Device device, bool record);
  ~RecordedWork();
  RecordedWork(const RecordedWork&) = delete;
  RecordedWork& operator=(const RecordedWork&) = delete;

  /// Does the work once, on the device's current stream. The first run records: it does the work three times before
  /// (which must change nothing but what it writes anew each time) and waits for the device.
  void run();

 private:
  struct Graph;

  std::function<void()> work_;
  [[maybe_unused]] c10::Device device_;
  [[maybe_unused]] bool record_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace shine
