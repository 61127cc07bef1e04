#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>

#include "tensor/peak_memory.h"

namespace shine::bench {

/// Seconds of a clock that never goes back, once the device has done all it was given.
double now(at::Device device);

/// What the floor is computed from: FLOP/s of a matrix product of three equal sides, large enough for the device.
struct ProductRate {
  std::int64_t side = 0;
  double flops_per_second = 0.0;
};

/// The best of several runs.
ProductRate measure_product_rate(at::ScalarType dtype, at::Device device);

/// Bytes read and written per second by a copy far larger than the caches: the best of several runs.
double measure_copy_rate(at::Device device);

/// The system's load average over the last minute.
double load_average();

}  // namespace shine::bench
