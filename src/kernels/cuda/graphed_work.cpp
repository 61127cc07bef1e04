#include "kernels/cuda/graphed_work.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <deque>

namespace shine {
namespace {

/// What LibTorch and cuBLAS set up at their first calls must be there before the capture.
constexpr int kWarmUps = 3;

/// `later` goes on where `earlier` is now.
void wait_for(const c10::cuda::CUDAStream& later, const c10::cuda::CUDAStream& earlier) {
  at::cuda::CUDAEvent event;
  event.record(earlier);
  event.block(later);
}

/// Captures `part` on the current stream.
///
/// A stream captures whatever is launched on it, from any thread: a part that calls the autograd engine is captured
/// too, whose thread launches the kernels of a backward on the streams of their forward, here the one that captures.
/// The mode says only which threads must not make calls that a capture forbids (an allocation, a query of an event).
/// The strictest would forbid them to all, and a data loader or a watchdog of NCCL, which have nothing to do with the
/// capture, would break it.
void capture_part(at::cuda::CUDAGraph& graph, c10::MempoolId_t memory, const GraphedWork::Part& part) {
  graph.capture_begin(memory, cudaStreamCaptureModeThreadLocal);
  try {
    part();
  } catch (...) {
    try {
      graph.capture_end();  // ends the capture, whose fault is the one to report
    } catch (const std::exception&) {
    }
    throw;
  }
  graph.capture_end();
}

}  // namespace

struct GraphedWork::Graphs {
  std::deque<at::cuda::CUDAGraph> parts;
};

GraphedWork::GraphedWork(std::vector<Part> parts, c10::Device device, bool capture)
    : parts_(std::move(parts)), device_(device), capture_(capture && device.is_cuda()) {}

GraphedWork::~GraphedWork() = default;

void GraphedWork::capture() {
  const c10::cuda::CUDAStream current = c10::cuda::getCurrentCUDAStream();
  const c10::cuda::CUDAStream side = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_.index());
  auto captured = std::make_unique<Graphs>();
  wait_for(side, current);
  {
    const c10::cuda::CUDAStreamGuard on_side(side);
    for (int i = 0; i < kWarmUps; ++i) {
      for (const Part& part : parts_) part();
    }
    side.synchronize();
    for (const Part& part : parts_) {
      const bool first = captured->parts.empty();
      const c10::MempoolId_t memory = first ? c10::MempoolId_t{0, 0} : captured->parts.front().pool();
      capture_part(captured->parts.emplace_back(), memory, part);
    }
  }
  wait_for(current, side);
  graphs_ = std::move(captured);
}

void GraphedWork::run(std::size_t part) {
  if (!capture_) return parts_.at(part)();
  const c10::cuda::CUDAGuard guard(device_);
  if (!graphs_) capture();
  graphs_->parts.at(part).replay();
}

}  // namespace shine
