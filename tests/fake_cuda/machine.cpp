// The state of the devices: memory, captures, the log.
#include "fake_cuda/machine.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

namespace fake_cuda {
namespace {

struct Allocation {
  std::size_t bytes;
  Where where;
  int device;
};

std::size_t number_of(const char* variable, std::size_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

struct State {
  std::recursive_mutex mutex;
  FILE* log = nullptr;
  std::size_t devices = number_of("FAKE_CUDA_DEVICES", 1);
  std::size_t bytes = number_of("FAKE_CUDA_BYTES", std::size_t{150110011392});  // an H200's
  std::map<std::uintptr_t, Allocation> allocations;
  std::vector<std::size_t> used = std::vector<std::size_t>(devices), peak = used;
  std::vector<CUstream_st> default_streams;
  std::vector<std::shared_ptr<Capture>> captures;

  State() {
    for (std::size_t i = 0; i < devices; ++i) default_streams.push_back({static_cast<int>(i), 0});
  }
};

/// Never destroyed: libraries give memory back while the program ends.
State& state() {
  static State& one = *new State;
  return one;
}

thread_local cudaError_t last_error = cudaSuccess;

FILE* open_log() {
  const char* path = std::getenv("FAKE_CUDA_LOG");
  if (state().log == nullptr && path != nullptr) state().log = std::fopen(path, "w");
  return state().log;
}

/// The program's and its own libraries' calls, as FILE+OFFSET for addr2line.
std::string calls() {
  std::array<void*, 64> frames;
  const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
  std::string text = "\t";
  for (int i = 0; i < count; ++i) {
    Dl_info info;
    const void* frame = frames[static_cast<std::size_t>(i)];
    if (dladdr(frame, &info) == 0) continue;
    const char* slash = std::strrchr(info.dli_fname, '/');
    const std::string file = slash != nullptr ? slash + 1 : info.dli_fname;
    if (file.starts_with("lib") && !file.starts_with("libshine")) continue;
    std::array<char, 32> offset;
    std::snprintf(offset.data(), offset.size(), "+0x%zx ",
                  static_cast<std::size_t>(static_cast<const char*>(frame) - static_cast<char*>(info.dli_fbase)));
    text += file + offset.data();
  }
  return text;
}

__attribute__((destructor)) void end_log() {
  const Lock lock;
  if (state().log == nullptr) return;
  for (std::size_t i = 0; i < state().devices; ++i) note("peak", std::to_string(state().peak[i]));
  flush_log();
}

}  // namespace

Lock::Lock() {
  state().mutex.lock();
}

Lock::~Lock() {
  state().mutex.unlock();
}

int device_count() {
  return static_cast<int>(state().devices);
}

std::size_t device_bytes() {
  return state().bytes;
}

int& current_device() {
  static thread_local int device = 0;
  return device;
}

cudaError_t failed(cudaError_t error) {
  last_error = error;
  return error;
}

cudaError_t take_last_error(bool clear) {
  const cudaError_t error = last_error;
  if (clear) last_error = cudaSuccess;
  return error;
}

void note(const char* kind, const std::string& what, cudaStream_t stream, bool place) {
  const Lock lock;
  FILE* log = open_log();
  if (log == nullptr) return;
  std::fprintf(log, "%s\t%d\t%s%s\n", kind, stream != nullptr ? stream->number : -1, what.c_str(),
               place ? calls().c_str() : "");
}

void flush_log() {
  const Lock lock;
  if (state().log != nullptr) std::fflush(state().log);
}

void broken_rule(const std::string& what) {
  const Lock lock;
  std::fprintf(stderr, "fake_cuda: broken rule: %s\n", what.c_str());
  note("broken", what, nullptr, /*place=*/true);
  flush_log();
}

cudaStream_t resolve(cudaStream_t stream) {
  const bool is_default = reinterpret_cast<std::uintptr_t>(stream) <= 2;  // null, legacy, of each thread
  return is_default ? &state().default_streams[static_cast<std::size_t>(current_device())] : stream;
}

bool add_work(const char* kind, const std::string& what, cudaStream_t stream, bool place) {
  const Lock lock;
  if (stream->device != current_device()) {
    broken_rule(std::string(kind) + " on a stream of device " + std::to_string(stream->device) + " while " +
                std::to_string(current_device()) + " is the current one: " + what);
    return false;
  }
  if (stream->capture) {
    ++stream->capture->graph->nodes;
    for (cudaStream_t other : stream->capture->reached) other->awaited.erase(stream);
  }
  note(stream->capture ? "captured" : kind, what, stream, place);
  return true;
}

bool forbidden(const char* call) {
  const Lock lock;
  if (capture_mode() == cudaStreamCaptureModeRelaxed) return false;
  for (const auto& capture : state().captures) {
    if (capture->mode == cudaStreamCaptureModeRelaxed) continue;
    const bool everywhere =
        capture_mode() == cudaStreamCaptureModeGlobal && capture->mode == cudaStreamCaptureModeGlobal;
    if (!everywhere && capture->thread != std::this_thread::get_id()) continue;
    broken_rule(std::string(call) + " during a capture");
    capture->broken = true;
    return true;
  }
  return false;
}

cudaStreamCaptureMode& capture_mode() {
  static thread_local cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  return mode;
}

void add_capture(const std::shared_ptr<Capture>& capture) {
  state().captures.push_back(capture);
}

void end_capture(const std::shared_ptr<Capture>& capture) {
  std::erase(state().captures, capture);
}

Memory find_memory(const void* pointer) {
  const Lock lock;
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  const auto& all = state().allocations;
  auto next = all.upper_bound(address);
  if (next == all.begin()) return {};
  const auto& [start, found] = *--next;
  if (address - start >= found.bytes) return {};
  return {found.where, found.device, found.bytes - (address - start)};
}

void* allocate(std::size_t bytes, Where where) {
  const Lock lock;
  const bool on_device = where == Where::device;
  if (on_device && bytes > free_bytes()) return nullptr;
  void* memory = mmap(nullptr, bytes, on_device ? PROT_NONE : PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  const auto device = static_cast<std::size_t>(current_device());
  state().allocations[reinterpret_cast<std::uintptr_t>(memory)] = {bytes, where, current_device()};
  if (on_device) {
    state().used[device] += bytes;
    state().peak[device] = std::max(state().peak[device], state().used[device]);
  }
  return memory;
}

bool release(void* pointer, Where where) {
  const Lock lock;
  const auto found = state().allocations.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (found == state().allocations.end() || found->second.where != where) {
    broken_rule("a pointer is freed that was not allocated");
    return false;
  }
  if (where == Where::device) state().used[static_cast<std::size_t>(found->second.device)] -= found->second.bytes;
  munmap(pointer, found->second.bytes);
  state().allocations.erase(found);
  return true;
}

std::size_t free_bytes() {
  const Lock lock;
  const std::size_t taken = state().used[static_cast<std::size_t>(current_device())] + kStartBytes;
  return state().bytes > taken ? state().bytes - taken : 0;
}

}  // namespace fake_cuda
