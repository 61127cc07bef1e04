#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "shine/common/api.h"

namespace shine {

/// "auto" (the first GPU, else the CPU, with a warning where a driver is there), "cpu", "cuda" or "cuda:N". Throws
/// ConfigError for any other text, UnsupportedError for a device that this machine lacks.
SHINE_API at::Device parse_device(const std::string& name);

/// Sets and starts the threads of tensor operations (0: LibTorch's choice); returns how many, or throws
/// UnsupportedError.
SHINE_API int set_threads(int threads);

/// Restricts LibTorch to deterministic kernels; an operation without one throws.
SHINE_API void set_deterministic();

/// Whether a GPU's float32 matrix products may use TF32.
SHINE_API void set_tf32(bool on);

/// Turns cuDNN's attention off: it builds a plan for every new shape, and rows have all lengths.
SHINE_API void avoid_cudnn_attention();

/// Bytes that can still be allocated on the device: free GPU memory, or what the system and the cgroup leave.
SHINE_API std::size_t available_memory_bytes(at::Device device);

/// Highest resident set size of this process, in bytes.
SHINE_API std::size_t peak_resident_bytes();

}  // namespace shine
