// The driver's functions that LibTorch asks for, declared here: of most of them it only takes the address, when it
// loads its part for run-time compilation.
#include <dlfcn.h>

#include "fake_cuda/machine.h"

namespace {

constexpr int kNotSupported = 801;

int not_here(const char* name) {
  fake_cuda::broken_rule(std::string("the driver's function ") + name + " is called, which is not here");
  return kNotSupported;
}

int unknown() {
  return not_here("of another name");
}

}  // namespace

extern "C" {

int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return 0;
}

int cuCtxGetCurrent(void** context) {
  static int current = 0;
  *context = &current;
  return 0;
}

int cuGetErrorString(int, const char** text) {
  *text = "an error of fake_cuda";
  return 0;
}

#define NOT_HERE(name)      \
  int name() {              \
    return not_here(#name); \
  }
NOT_HERE(cuCtxSetCurrent)
NOT_HERE(cuDeviceGet)
NOT_HERE(cuDeviceGetAttribute)
NOT_HERE(cuDevicePrimaryCtxRetain)
NOT_HERE(cuFuncGetAttribute)
NOT_HERE(cuFuncSetAttribute)
NOT_HERE(cuFuncSetCacheConfig)
NOT_HERE(cuLaunchCooperativeKernel)
NOT_HERE(cuLaunchKernel)
NOT_HERE(cuLinkAddData_v2)
NOT_HERE(cuLinkComplete)
NOT_HERE(cuLinkCreate_v2)
NOT_HERE(cuModuleGetFunction)
NOT_HERE(cuModuleLoad)
NOT_HERE(cuModuleLoadData)
NOT_HERE(cuModuleLoadDataEx)
NOT_HERE(cuModuleUnload)
NOT_HERE(cuOccupancyMaxActiveBlocksPerMultiprocessor)
NOT_HERE(cuPointerGetAttribute)
NOT_HERE(cuTensorMapEncodeTiled)
#undef NOT_HERE

}  // extern "C"

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  *function = dlsym(RTLD_DEFAULT, name);
  if (*function == nullptr) *function = reinterpret_cast<void*>(&unknown);
  if (result != nullptr) *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}
