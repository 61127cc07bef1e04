#include "machine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace shine::bench {

double now(at::Device device) {
  synchronize(device);
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double measure_product_rate(at::ScalarType dtype, at::Device device) {
  constexpr int size = 1024, rounds = 20, products = 5;
  const auto options = at::TensorOptions().device(device);
  const at::Tensor a = at::randn({size, size}, options).to(dtype), b = at::randn({size, size}, options).to(dtype);
  at::Tensor c = at::mm(a, b);
  double best = std::numeric_limits<double>::infinity();
  for (int round = 0; round < rounds; ++round) {
    const double start = now(device);
    for (int i = 0; i < products; ++i) at::mm_out(c, a, b);
    best = std::min(best, (now(device) - start) / products);
  }
  return 2.0 * size * size * size / best;
}

double load_average() {
  double load = 0.0;
  return getloadavg(&load, 1) == 1 ? load : 0.0;
}

}  // namespace shine::bench
