#pragma once

#include <array>
#include <string_view>

#include "kernels/fused.h"

namespace shine {

/// A kernel that a GPU has run against its reference.
struct CheckedKernel {
  CudaKernel kernel;
  std::string_view date;     ///< "2026-01-31"
  std::string_view gpu;      ///< "NVIDIA H200, CUDA 13.0"
  std::string_view figures;  ///< worst relative differences that the tests print (float32, bf16)
};

/// The kernels that `ops.fused: auto` uses. An entry comes from a run of scripts/gpu_check.sh on the GPU it names, all
/// tests of the kernel in tests/gpu passed; after a change of the kernel it is taken out until the next such run.
inline constexpr std::array<CheckedKernel, 0> kCheckedKernels{};

}  // namespace shine
