#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <vector>

namespace shine {

/// Work on tensors that stay where they are, with fixed sizes and without host reads: a GPU can record its launches
/// once, as CUDA graphs, and replay them at the cost of one. Tensors that the work makes and leaves behind (in what it
/// captures) stay those of the recording.
class RecordedWork {
 public:
  using Part = std::function<void()>;

  /// @param parts   one graph each, sharing memory: to be run in this order, and to be broken off behind any of them;
  ///                what a part leaves behind, later parts may read
  /// @param record  where the device is a GPU; else, and on a CPU, every run calls the part
  RecordedWork(std::vector<Part> parts, c10::Device device, bool record);
  virtual ~RecordedWork();
  RecordedWork(const RecordedWork&) = delete;
  RecordedWork& operator=(const RecordedWork&) = delete;

  /// Does part `part` once, on the device's current stream. The first run records all parts: it does them three times
  /// before (which must change nothing but what they write anew each time) and waits for the device.
  virtual void run(std::size_t part = 0);

  /// False where every run calls the part.
  virtual bool records() const { return record_; }

 private:
  struct Graphs;

  void record();

  std::vector<Part> parts_;
  [[maybe_unused]] c10::Device device_;
  bool record_;
  std::unique_ptr<Graphs> graphs_;
};

}  // namespace shine
