#include "ops/recorded_work.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace shine {
namespace {

/// What LibTorch and cuBLAS set up at their first calls must be there before the recording.
constexpr int kWarmUps = 3;

/// `later` goes on where `earlier` is now.
void wait_for(const c10::cuda::CUDAStream& later, const c10::cuda::CUDAStream& earlier) {
  at::cuda::CUDAEvent event;
  event.record(earlier);
  event.block(later);
}

}  // namespace

struct RecordedWork::Graph {
  at::cuda::CUDAGraph graph;
};

RecordedWork::RecordedWork(std::function<void()> work, c10::Device device, bool record)
    : work_(std::move(work)), device_(device), record_(record && device.is_cuda()) {}

RecordedWork::~RecordedWork() = default;

void RecordedWork::run() {
  if (!record_) return work_();
  const c10::cuda::CUDAGuard guard(device_);
  if (graph_) return graph_->graph.replay();
  const c10::cuda::CUDAStream current = c10::cuda::getCurrentCUDAStream();
  const c10::cuda::CUDAStream side = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_.index());
  auto recorded = std::make_unique<Graph>();
  wait_for(side, current);
  {
    const c10::cuda::CUDAStreamGuard on_side(side);
    for (int i = 0; i < kWarmUps; ++i) work_();
    side.synchronize();
    // Other threads (a data loader) may go on with calls that a recording thread must not make.
    recorded->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      work_();
    } catch (...) {
      try {
        recorded->graph.capture_end();  // ends the recording, whose fault is the one to report
      } catch (const std::exception&) {
      }
      throw;
    }
    recorded->graph.capture_end();
  }
  wait_for(current, side);
  graph_ = std::move(recorded);
  graph_->graph.replay();
}

}  // namespace shine
