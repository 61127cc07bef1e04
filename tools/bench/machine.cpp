#include "machine.h"

#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/cuda.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

#include "shine/common/error.h"

namespace shine::bench {
namespace {

/// A field of /proc/self/status, such as "VmHWM", in bytes.
std::size_t status_bytes(const std::string& field) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1)) * 1024;
  }
  throw IoError(str("no ", field), "/proc/self/status", "the benchmark needs Linux");
}

constexpr auto kAggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);

c10::CachingAllocator::Stat allocated(at::Device device) {
  return c10::getDeviceAllocator(device.type())->getDeviceStats(device.index()).allocated_bytes[kAggregate];
}

}  // namespace

double now(at::Device device) {
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
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

PeakMemory::PeakMemory(at::Device device) : device_(device) {
  if (!device.is_cpu()) {
    c10::getDeviceAllocator(device.type())->resetPeakStats(device.index());
    start_ = static_cast<std::size_t>(allocated(device).current);
    return;
  }
  std::ofstream reset("/proc/self/clear_refs");
  reset << 5 << std::flush;
  SHINE_CHECK(reset.good(), IoError, "/proc/self/clear_refs: cannot reset the high-water mark of resident memory");
  start_ = status_bytes("VmRSS");
}

std::size_t PeakMemory::bytes_above_start() const {
  const std::size_t peak = device_.is_cpu() ? status_bytes("VmHWM") : static_cast<std::size_t>(allocated(device_).peak);
  return peak - std::min(peak, start_);
}

double load_average() {
  double load = 0.0;
  return getloadavg(&load, 1) == 1 ? load : 0.0;
}

}  // namespace shine::bench
