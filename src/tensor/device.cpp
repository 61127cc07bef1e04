#include "shine/tensor/device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <sys/resource.h>

#include "shine/common/error.h"

namespace shine {

at::Device parse_device(const std::string& name) {
  const bool has_cuda = at::hasCUDA();
  if (name == "auto") return has_cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  if (name == "cpu") return at::kCPU;
  const bool plain = name == "cuda";
  const bool numbered = name.size() > 5 && name.size() < 8 && name.starts_with("cuda:") &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos;
  SHINE_CHECK(plain || numbered, ConfigError, "unknown device '", name, "': use auto, cpu, cuda or cuda:N");
  const int index = plain ? 0 : std::stoi(name.substr(5));
  const auto count = has_cuda ? static_cast<int>(at::getNumGPUs()) : 0;
  SHINE_CHECK(index < count, UnsupportedError, "device ", name, ": this machine shows ", count,
              " CUDA devices to LibTorch (use run.device=cpu)");
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

int set_threads(int threads) {
  if (threads > 0) at::set_num_threads(threads);
  return at::get_num_threads();
}

std::size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

}  // namespace shine
