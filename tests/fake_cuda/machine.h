#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <thread>

namespace fake_cuda {

/// A capture that has begun: every stream that it has reached points to it until it ends.
struct Capture {
  unsigned long long id;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  cudaStream_t origin;
  std::unique_ptr<CUgraph_st> graph;
  std::set<cudaStream_t> reached{};
  bool broken = false;
};

}  // namespace fake_cuda

// The types that the runtime's headers only declare.
struct CUgraph_st {
  std::size_t nodes = 0;
};
struct CUgraphExec_st {
  std::size_t nodes;
};
struct CUstream_st {
  int device;
  int number;
  std::shared_ptr<fake_cuda::Capture> capture{};
  std::set<cudaStream_t> awaited{};  ///< streams whose whole work so far this one has waited for
};
struct CUevent_st {
  int device;
  bool recorded = false;
  std::shared_ptr<fake_cuda::Capture> capture{};
  std::set<cudaStream_t> covers{};
};

namespace fake_cuda {

constexpr std::size_t kSharedMemory = 48 << 10;              ///< of a block, without opting in
constexpr std::size_t kSharedMemoryAtMost = 227 << 10;       ///< of a block, with it
constexpr std::size_t kStartBytes = std::size_t{600} << 20;  ///< what a context takes

/// Locks everything: calls come from any thread.
class Lock {
 public:
  Lock();
  ~Lock();
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};

int device_count();
std::size_t device_bytes();
int& current_device();  ///< of this thread

/// Keeps an error for cudaGetLastError, and returns it.
cudaError_t failed(cudaError_t error);
cudaError_t take_last_error(bool clear);

/// A line of the log: kind, stream, what; with `place`, also the calls that led there.
void note(const char* kind, const std::string& what, cudaStream_t stream = nullptr, bool place = false);
void flush_log();
/// A rule of CUDA was broken: said on standard error and in the log.
void broken_rule(const std::string& what);

/// The stream itself, or the current device's default stream.
cudaStream_t resolve(cudaStream_t stream);
/// Work on a stream, already resolved: becomes a node where the stream is captured. `kind` is noted, or "captured".
/// False, and a broken rule, for a stream of another device.
bool add_work(const char* kind, const std::string& what, cudaStream_t stream, bool place = false);
/// Whether a capture that is going on forbids a call that waits, allocates or frees.
bool forbidden(const char* call);
cudaStreamCaptureMode& capture_mode();  ///< of this thread
void add_capture(const std::shared_ptr<Capture>& capture);
void end_capture(const std::shared_ptr<Capture>& capture);

enum class Where { pageable, pinned, device };
struct Memory {
  Where where = Where::pageable;
  int device = 0;
  std::size_t left = 0;  ///< bytes from the pointer to the end of its allocation
};
Memory find_memory(const void* pointer);
/// Null where the device is full. Device memory can be neither read nor written by the program.
void* allocate(std::size_t bytes, Where where);
bool release(void* pointer, Where where);
std::size_t free_bytes();

}  // namespace fake_cuda
