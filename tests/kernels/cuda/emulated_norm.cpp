// The device comes before its kernels.
// clang-format off
#include "kernels/cuda/emulated_device.h"
#include "kernels/cuda/norm.cu"
