#include "tensor/peak_memory.h"

#include <ATen/DeviceAccelerator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "shine/common/error.h"

namespace shine {
namespace {

/// A field of /proc/self/status, such as "VmHWM", in bytes.
std::size_t status_bytes(const std::string& field) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1)) * 1024;
  }
  throw IoError(str("no ", field), "/proc/self/status", "measuring memory needs Linux");
}

bool reset_high_water_mark() {
  std::ofstream reset("/proc/self/clear_refs");
  reset << 5 << std::flush;
  return reset.good();
}

constexpr auto kAggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);

c10::CachingAllocator::Stat allocated(at::Device device) {
  return c10::getDeviceAllocator(device.type())->getDeviceStats(device.index()).allocated_bytes[kAggregate];
}

}  // namespace

void synchronize(at::Device device) {
  if (!device.is_cpu()) at::accelerator::synchronizeDevice(device.index());
}

bool PeakMemory::can_measure(at::Device device) {
  return !device.is_cpu() || reset_high_water_mark();
}

PeakMemory::PeakMemory(at::Device device) : device_(device) {
  if (!device.is_cpu()) {
    c10::getDeviceAllocator(device.type())->resetPeakStats(device.index());
    start_ = static_cast<std::size_t>(allocated(device).current);
    return;
  }
  malloc_trim(0);
  SHINE_CHECK(reset_high_water_mark(), IoError,
              "/proc/self/clear_refs: cannot reset the high-water mark of resident memory");
  start_ = status_bytes("VmRSS");
}

std::size_t PeakMemory::bytes_above_start() const {
  const std::size_t peak = device_.is_cpu() ? status_bytes("VmHWM") : static_cast<std::size_t>(allocated(device_).peak);
  return peak - std::min(peak, start_);
}

}  // namespace shine
