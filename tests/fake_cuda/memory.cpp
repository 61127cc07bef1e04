// The runtime's devices and memory.
#include <cstring>

#include "fake_cuda/machine.h"

using fake_cuda::Memory;
using fake_cuda::Where;

namespace {

const char* direction(Where from, Where to) {
  if (from == Where::device) return to == Where::device ? "device to device" : "device to host";
  return to == Where::device ? "host to device" : "host to host";
}

bool fits(cudaMemcpyKind kind, Where from, Where to) {
  if (kind == cudaMemcpyDefault) return true;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  return from_device == (from == Where::device) && to_device == (to == Where::device);
}

/// What comes from a device is zeros: nothing was computed there.
cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream, bool waits) {
  const fake_cuda::Lock lock;
  if (bytes == 0) return cudaSuccess;
  const Memory source = fake_cuda::find_memory(from), target = fake_cuda::find_memory(to);
  const bool on_device = source.where == Where::device || target.where == Where::device;
  const bool pageable = on_device && (source.where == Where::pageable || target.where == Where::pageable);
  std::string what = std::string(direction(source.where, target.where)) + (pageable ? ", pageable" : "") + ", " +
                     std::to_string(bytes) + " bytes";
  if (!fits(kind, source.where, target.where)) fake_cuda::broken_rule("a copy of another kind than said: " + what);
  for (const Memory& memory : {source, target}) {
    if (memory.where != Where::pageable && memory.left < bytes) {
      fake_cuda::broken_rule("a copy past the end of an allocation: " + what);
      return fake_cuda::failed(cudaErrorInvalidValue);
    }
  }
  if (waits && fake_cuda::forbidden("cudaMemcpy")) return fake_cuda::failed(cudaErrorStreamCaptureUnsupported);
  if (stream->capture && pageable) fake_cuda::broken_rule("a copy of pageable memory is captured: " + what);
  if (!fake_cuda::add_work("copy", what, stream, pageable)) return fake_cuda::failed(cudaErrorInvalidResourceHandle);
  if (waits) fake_cuda::note("wait", "copy", stream, /*place=*/true);
  if (target.where != Where::device) {
    if (source.where == Where::device) {
      std::memset(to, 0, bytes);
    } else {
      std::memmove(to, from, bytes);
    }
  }
  return cudaSuccess;
}

cudaError_t fill(void* pointer, std::size_t bytes, cudaStream_t stream) {
  const fake_cuda::Lock lock;
  if (bytes == 0) return cudaSuccess;
  const Memory memory = fake_cuda::find_memory(pointer);
  const std::string what = "memset, " + std::to_string(bytes) + " bytes";
  if (memory.where != Where::device || memory.left < bytes) {
    fake_cuda::broken_rule("not within an allocation of the device: " + what);
    return fake_cuda::failed(cudaErrorInvalidValue);
  }
  if (!fake_cuda::add_work("kernel", what, stream)) return fake_cuda::failed(cudaErrorInvalidResourceHandle);
  return cudaSuccess;
}

cudaError_t allocate(void** pointer, std::size_t bytes, Where where, const char* call) {
  if (fake_cuda::forbidden(call)) return fake_cuda::failed(cudaErrorStreamCaptureUnsupported);
  *pointer = bytes > 0 ? fake_cuda::allocate(bytes, where) : nullptr;
  fake_cuda::note("allocation", std::string(call) + ", " + std::to_string(bytes) + " bytes", nullptr, /*place=*/true);
  return *pointer != nullptr || bytes == 0 ? cudaSuccess : fake_cuda::failed(cudaErrorMemoryAllocation);
}

cudaError_t release(void* pointer, Where where, const char* call) {
  if (pointer == nullptr) return cudaSuccess;
  if (fake_cuda::forbidden(call)) return fake_cuda::failed(cudaErrorStreamCaptureUnsupported);
  fake_cuda::note("release", call, nullptr, /*place=*/true);
  return fake_cuda::release(pointer, where) ? cudaSuccess : fake_cuda::failed(cudaErrorInvalidValue);
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  *count = fake_cuda::device_count();
  return *count > 0 ? cudaSuccess : fake_cuda::failed(cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int* device) {
  *device = fake_cuda::current_device();
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= fake_cuda::device_count()) return fake_cuda::failed(cudaErrorInvalidDevice);
  fake_cuda::current_device() = device;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  std::memset(properties, 0, sizeof *properties);
  std::strcpy(properties->name, "Fake H200");
  properties->uuid.bytes[0] = static_cast<char>(device + 1);
  properties->totalGlobalMem = fake_cuda::device_bytes();
  properties->sharedMemPerBlock = fake_cuda::kSharedMemory;
  properties->sharedMemPerBlockOptin = fake_cuda::kSharedMemoryAtMost;
  properties->sharedMemPerMultiprocessor = fake_cuda::kSharedMemoryAtMost + 1024;
  properties->reservedSharedMemPerBlock = 1024;
  properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024;
  properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = 2147483647;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  properties->major = 9;
  properties->multiProcessorCount = 132;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->maxBlocksPerMultiProcessor = 32;
  properties->l2CacheSize = 60 << 20;
  properties->memoryBusWidth = 6144;
  properties->textureAlignment = 512;
  properties->unifiedAddressing = properties->concurrentKernels = properties->cooperativeLaunch = 1;
  properties->pciBusID = device + 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = 132; break;
    case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = fake_cuda::kSharedMemory; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = fake_cuda::kSharedMemoryAtMost; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = fake_cuda::kSharedMemoryAtMost + 1024; break;
    case cudaDevAttrMaxGridDimX: *value = 2147483647; break;
    case cudaDevAttrMaxGridDimY: *value = 65535; break;
    case cudaDevAttrL2CacheSize: *value = 60 << 20; break;
    default:
      fake_cuda::broken_rule("attribute " + std::to_string(attribute) + " of the device is asked for: give it a value");
      return fake_cuda::failed(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  if (fake_cuda::forbidden("cudaDeviceSynchronize")) return fake_cuda::failed(cudaErrorStreamCaptureUnsupported);
  fake_cuda::note("wait", "device", nullptr, /*place=*/true);
  fake_cuda::flush_log();
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  return fake_cuda::take_last_error(/*clear=*/true);
}

cudaError_t cudaPeekAtLastError() {
  return fake_cuda::take_last_error(/*clear=*/false);
}

const char* cudaGetErrorName(cudaError_t error) {
  static thread_local std::string name;
  name = "cudaError " + std::to_string(error);
  return name.c_str();
}

const char* cudaGetErrorString(cudaError_t error) {
  return cudaGetErrorName(error);
}

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return allocate(pointer, bytes, Where::device, "cudaMalloc");
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  return allocate(pointer, bytes, Where::pinned, "cudaHostAlloc");
}

cudaError_t cudaFree(void* pointer) {
  return release(pointer, Where::device, "cudaFree");
}

cudaError_t cudaFreeHost(void* pointer) {
  return release(pointer, Where::pinned, "cudaFreeHost");
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = fake_cuda::free_bytes();
  *total = fake_cuda::device_bytes();
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const Memory memory = fake_cuda::find_memory(pointer);
  *attributes = {};
  attributes->type = memory.where == Where::device   ? cudaMemoryTypeDevice
                     : memory.where == Where::pinned ? cudaMemoryTypeHost
                                                     : cudaMemoryTypeUnregistered;
  attributes->device = memory.device;
  if (memory.where != Where::pageable) attributes->devicePointer = const_cast<void*>(pointer);
  if (memory.where == Where::pinned) attributes->hostPointer = const_cast<void*>(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return copy(to, from, bytes, kind, fake_cuda::resolve(nullptr), /*waits=*/true);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy(to, from, bytes, kind, fake_cuda::resolve(stream), /*waits=*/false);
}

cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, std::size_t bytes, cudaStream_t stream) {
  return copy(to, from, bytes, cudaMemcpyDeviceToDevice, fake_cuda::resolve(stream), /*waits=*/false);
}

cudaError_t cudaMemset(void* pointer, int, std::size_t bytes) {
  return fill(pointer, bytes, fake_cuda::resolve(nullptr));
}

cudaError_t cudaMemsetAsync(void* pointer, int, std::size_t bytes, cudaStream_t stream) {
  return fill(pointer, bytes, fake_cuda::resolve(stream));
}
