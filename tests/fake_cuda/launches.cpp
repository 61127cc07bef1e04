// Kernels: their names come from what nvcc's code registers at start, and none is ever run.
#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <vector>

#include "fake_cuda/machine.h"

namespace {

struct Kernel {
  std::string name;
  std::size_t shared_at_most = fake_cuda::kSharedMemory;
};

/// By the address of the host's function; never destroyed.
std::map<const void*, Kernel>& kernels() {
  static auto& all = *new std::map<const void*, Kernel>;
  return all;
}

struct Configuration {
  dim3 grid, block;
  std::size_t shared;
  cudaStream_t stream;
};
thread_local std::vector<Configuration> configurations;

std::string readable(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  const std::string result = status == 0 ? text : name;
  std::free(text);
  return result;
}

std::string text_of(const dim3& size) {
  return std::to_string(size.x) + "x" + std::to_string(size.y) + "x" + std::to_string(size.z);
}

bool within_limits(const dim3& grid, const dim3& block) {
  const auto threads = std::size_t{block.x} * block.y * block.z;
  return threads > 0 && threads <= 1024 && block.z <= 64 && grid.x > 0 && grid.x <= 2147483647U && grid.y > 0 &&
         grid.y <= 65535 && grid.z > 0 && grid.z <= 65535;
}

cudaError_t launch(const void* function, const Configuration& how) {
  const fake_cuda::Lock lock;
  const auto found = kernels().find(function);
  if (found == kernels().end()) {
    fake_cuda::broken_rule("a kernel is launched that nothing registered");
    return fake_cuda::failed(cudaErrorInvalidDeviceFunction);
  }
  const auto& [name, shared_at_most] = found->second;
  const std::string what = text_of(how.grid) + " blocks of " + text_of(how.block) + "\t" + name;
  if (!within_limits(how.grid, how.block) || how.shared > shared_at_most) {
    fake_cuda::broken_rule("a launch past the limits, " + std::to_string(how.shared) + " bytes of shared memory, " +
                           what);
    return fake_cuda::failed(cudaErrorInvalidConfiguration);
  }
  const bool here = fake_cuda::add_work("kernel", what, fake_cuda::resolve(how.stream));
  return here ? cudaSuccess : fake_cuda::failed(cudaErrorInvalidResourceHandle);
}

}  // namespace

// What nvcc's code calls; crt/host_runtime.h has it for nvcc only.
extern "C" {

void** __cudaRegisterFatBinary(void*) {
  static std::array<void*, 1> handle;
  return handle.data();
}

void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterVar(void**, char*, char*, const char*, int, std::size_t, int, int) {}

char __cudaInitModule(void**) {
  return 1;
}

void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*,
                            int*) {
  const fake_cuda::Lock lock;
  kernels()[function] = {readable(name)};
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared, cudaStream_t stream) {
  configurations.push_back({grid, block, shared, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared, void* stream) {
  const Configuration last = configurations.back();
  configurations.pop_back();
  *grid = last.grid;
  *block = last.block;
  *shared = last.shared;
  *static_cast<cudaStream_t*>(stream) = last.stream;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = static_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void**, std::size_t shared,
                               cudaStream_t stream) {
  return launch(kernel, {grid, block, shared, stream});
}

}  // extern "C"

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void**, std::size_t shared,
                             cudaStream_t stream) {
  return launch(function, {grid, block, shared, stream});
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* how, const void* function, void**) {
  return launch(function, {how->gridDim, how->blockDim, how->dynamicSmemBytes, how->stream});
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  attributes->binaryVersion = attributes->ptxVersion = 90;
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 64;
  attributes->maxDynamicSharedSizeBytes = fake_cuda::kSharedMemory;
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  const fake_cuda::Lock lock;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  const auto bytes = static_cast<std::size_t>(std::max(value, 0));
  if (bytes > fake_cuda::kSharedMemoryAtMost) {
    fake_cuda::broken_rule(std::to_string(bytes) + " bytes of shared memory for " + kernels()[function].name);
    return fake_cuda::failed(cudaErrorInvalidValue);
  }
  kernels()[function].shared_at_most = bytes;
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int threads, std::size_t,
                                                                   unsigned) {
  *blocks = std::clamp(2048 / std::max(threads, 1), 1, 32);
  return cudaSuccess;
}
