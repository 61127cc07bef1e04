#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <vector>

namespace shine {

/// Work on tensors that stay where they are, with fixed sizes and without host reads: a GPU can capture its launches
/// once, as CUDA graphs, and replay them at the cost of one. Tensors that the work makes and leaves behind (in what it
/// captures) stay those of the capture.
class GraphedWork {
 public:
  using Part = std::function<void()>;

  /// @param parts   one graph each, sharing memory: to be run in this order, and to be broken off behind any of them;
  ///                what a part leaves behind, later parts may read
  /// @param capture  where the device is a GPU; else, and on a CPU, every run calls the part
  GraphedWork(std::vector<Part> parts, c10::Device device, bool capture);
  virtual ~GraphedWork();
  GraphedWork(const GraphedWork&) = delete;
  GraphedWork& operator=(const GraphedWork&) = delete;

  /// Does part `part` once, on the device's current stream. The first run captures all parts: it does them three times
  /// before (which must change nothing but what they write anew each time) and waits for the device.
  virtual void run(std::size_t part = 0);

  /// False where every run calls the part.
  virtual bool captures() const { return capture_; }

 private:
  struct Graphs;

  void capture();

  std::vector<Part> parts_;
  [[maybe_unused]] c10::Device device_;
  bool capture_;
  std::unique_ptr<Graphs> graphs_;
};

}  // namespace shine
