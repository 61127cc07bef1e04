#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <vector>

namespace shine {

/// Work on tensors with fixed addresses and sizes and without host reads: a GPU captures its launches once as CUDA
/// graphs and replays each graph with one launch. Tensors that the work creates and leaves behind stay those of the
/// capture.
class GraphedWork {
 public:
  using Part = std::function<void()>;

  /// @param parts    one graph each, in one memory pool: run in this order, stopping after any of them; later parts may
  ///                 read what earlier ones leave behind
  /// @param capture  on a GPU; without it, and on a CPU, every run calls the part
  GraphedWork(std::vector<Part> parts, c10::Device device, bool capture);
  virtual ~GraphedWork();
  GraphedWork(const GraphedWork&) = delete;
  GraphedWork& operator=(const GraphedWork&) = delete;

  /// Runs part `part` once, on the device's current stream. The first run captures all parts: it first runs them three
  /// times as a warm-up (they must only overwrite their outputs) and synchronizes the device.
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
