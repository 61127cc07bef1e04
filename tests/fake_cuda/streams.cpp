// The runtime's streams, events, captures and graphs.
#include <algorithm>

#include "fake_cuda/machine.h"

using fake_cuda::Capture;

namespace {

cudaError_t refuse(cudaError_t error, const std::string& rule) {
  fake_cuda::broken_rule(rule);
  return fake_cuda::failed(error);
}

bool is_default(cudaStream_t stream) {
  return fake_cuda::resolve(stream) != stream;
}

}  // namespace

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  if (least != nullptr) *least = 0;
  if (greatest != nullptr) *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  const fake_cuda::Lock lock;
  static int number = 0;
  *stream = new CUstream_st{fake_cuda::current_device(), ++number};
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const fake_cuda::Lock lock;
  if (!fake_cuda::resolve(stream)->capture) return cudaSuccess;
  return refuse(cudaErrorStreamCaptureUnsupported, "cudaStreamQuery of a stream that is captured");
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const fake_cuda::Lock lock;
  stream = fake_cuda::resolve(stream);
  if (stream->capture) {
    return refuse(cudaErrorStreamCaptureUnsupported, "cudaStreamSynchronize of a stream that is captured");
  }
  if (fake_cuda::forbidden("cudaStreamSynchronize")) return fake_cuda::failed(cudaErrorStreamCaptureUnsupported);
  fake_cuda::note("wait", "stream", stream, /*place=*/true);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const fake_cuda::Lock lock;
  stream = fake_cuda::resolve(stream);
  if (event->capture && stream->capture && event->capture != stream->capture) {
    return refuse(cudaErrorStreamCaptureMerge, "a captured stream waits for an event of another capture");
  }
  if (!event->capture && stream->capture && event->recorded) {
    return refuse(cudaErrorStreamCaptureIsolation, "a captured stream waits for an event from outside the capture");
  }
  if (event->capture && !stream->capture) {
    stream->capture = event->capture;
    stream->capture->reached.insert(stream);
  }
  stream->awaited.insert(event->covers.begin(), event->covers.end());
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const fake_cuda::Lock lock;
  *status = fake_cuda::resolve(stream)->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t* graph, const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, std::size_t* count) {
  const fake_cuda::Lock lock;
  const auto& capture = fake_cuda::resolve(stream)->capture;
  *status = capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  if (id != nullptr) *id = capture ? capture->id : 0;
  if (graph != nullptr) *graph = capture ? capture->graph.get() : nullptr;
  if (dependencies != nullptr) *dependencies = nullptr;
  if (edges != nullptr) *edges = nullptr;
  if (count != nullptr) *count = 0;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const fake_cuda::Lock lock;
  static unsigned long long id = 0;
  if (is_default(stream)) return refuse(cudaErrorStreamCaptureUnsupported, "the default stream is captured");
  if (stream->capture) return refuse(cudaErrorIllegalState, "a stream is captured twice");
  stream->capture = std::make_shared<Capture>(
      Capture{++id, mode, std::this_thread::get_id(), stream, std::make_unique<CUgraph_st>()});
  stream->capture->reached.insert(stream);
  fake_cuda::add_capture(stream->capture);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const fake_cuda::Lock lock;
  *graph = nullptr;
  const std::shared_ptr<Capture> capture = fake_cuda::resolve(stream)->capture;
  if (!capture) return refuse(cudaErrorIllegalState, "a capture ends that has not begun");
  if (capture->origin != stream) return refuse(cudaErrorStreamCaptureUnmatched, "a capture ends on another stream");
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id()) {
    return refuse(cudaErrorStreamCaptureWrongThread, "a capture ends in another thread");
  }
  bool joined = true;
  for (cudaStream_t reached : capture->reached) {
    joined = joined && (reached == stream || stream->awaited.contains(reached));
    reached->capture = nullptr;
  }
  fake_cuda::end_capture(capture);
  if (!joined) return refuse(cudaErrorStreamCaptureUnjoined, "a capture ends before a stream that it forked joins it");
  if (capture->broken) return fake_cuda::failed(cudaErrorStreamCaptureInvalidated);
  fake_cuda::note("capture", std::to_string(capture->graph->nodes) + " nodes", stream);
  *graph = capture->graph.release();
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, fake_cuda::capture_mode());
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st{fake_cuda::current_device()};
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  const fake_cuda::Lock lock;
  stream = fake_cuda::resolve(stream);
  if (event->device != stream->device) {
    return refuse(cudaErrorInvalidResourceHandle, "an event is recorded on a stream of another device");
  }
  event->recorded = true;
  event->capture = stream->capture;
  event->covers = stream->awaited;
  event->covers.insert(stream);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, 0);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (fake_cuda::forbidden("cudaEventQuery")) return fake_cuda::failed(cudaErrorStreamCaptureUnsupported);
  const fake_cuda::Lock lock;
  if (!event->capture) return cudaSuccess;
  return refuse(cudaErrorCapturedEvent, "cudaEventQuery of an event that was recorded in a capture");
}

cudaError_t cudaEventSynchronize(cudaEvent_t) {
  if (fake_cuda::forbidden("cudaEventSynchronize")) return fake_cuda::failed(cudaErrorStreamCaptureUnsupported);
  fake_cuda::note("wait", "event", nullptr, /*place=*/true);
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 1;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, std::size_t* count) {
  *count = graph->nodes;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const bool here =
      fake_cuda::add_work("replay", std::to_string(executable->nodes) + " nodes", fake_cuda::resolve(stream));
  return here ? cudaSuccess : fake_cuda::failed(cudaErrorInvalidResourceHandle);
}
