#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>

#include "shine/tensor/peak_memory.h"

namespace shine::bench {

/// Seconds of a clock that never goes back, once the device has done all it was given.
double now(at::Device device);

/// FLOP/s of a 1024 x 1024 x 1024 matrix product: the best of several runs. What the floor is computed from.
double measure_product_rate(at::ScalarType dtype, at::Device device);

/// The system's load average over the last minute.
double load_average();

}  // namespace shine::bench
