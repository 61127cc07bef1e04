#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace shine {

/// "auto" (the first GPU, else the CPU), "cpu", "cuda" or "cuda:N".
/// Throws ConfigError for another text, UnsupportedError for a device this machine lacks.
at::Device parse_device(const std::string& name);

/// Threads for tensor operations; 0 leaves the system's choice. Returns the number in use.
int set_threads(int threads);

/// Highest resident set size of this process, in bytes.
std::size_t peak_resident_bytes();

}  // namespace shine
