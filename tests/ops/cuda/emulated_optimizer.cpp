// The device comes before its kernels.
// clang-format off
#include "ops/cuda/emulated_device.h"
#include "ops/cuda/optimizer.cu"
