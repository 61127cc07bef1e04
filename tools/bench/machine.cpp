#include "bench/machine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace shine::bench {

double now(at::Device device) {
  synchronize(device);
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

namespace {

/// The shortest of `rounds` runs of `repeats` calls, in seconds per call.
template <class Function>
double best_seconds(at::Device device, int rounds, int repeats, const Function& call) {
  call();
  double best = std::numeric_limits<double>::infinity();
  for (int round = 0; round < rounds; ++round) {
    const double start = now(device);
    for (int i = 0; i < repeats; ++i) call();
    best = std::min(best, (now(device) - start) / repeats);
  }
  return best;
}

}  // namespace

ProductRate measure_product_rate(at::ScalarType dtype, at::Device device) {
  const std::int64_t side = device.is_cpu() ? 1024 : 8192;
  const auto options = at::TensorOptions().device(device);
  const at::Tensor a = at::randn({side, side}, options).to(dtype), b = at::randn({side, side}, options).to(dtype);
  at::Tensor c = at::empty_like(a);
  const double seconds = best_seconds(device, /*rounds=*/20, /*repeats=*/5, [&] { at::mm_out(c, a, b); });
  return {side, 2.0 * std::pow(static_cast<double>(side), 3) / seconds};
}

double measure_copy_rate(at::Device device) {
  const std::int64_t bytes = std::int64_t{1} << (device.is_cpu() ? 28 : 31);
  const auto options = at::TensorOptions().dtype(at::kByte).device(device);
  const at::Tensor from = at::zeros({bytes}, options), to = at::zeros({bytes}, options);
  return 2.0 * static_cast<double>(bytes) / best_seconds(device, /*rounds=*/10, /*repeats=*/2, [&] { to.copy_(from); });
}

double load_average() {
  double load = 0.0;
  return getloadavg(&load, 1) == 1 ? load : 0.0;
}

}  // namespace shine::bench
