#include "shine/tensor/device.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

#include "common/start_threads.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

/// The number after `key` at the start of a line; `absent` where there is none.
std::size_t number_after(const char* file, const std::string& key, std::size_t absent) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    std::size_t number = 0;
    if (word == key && in >> number) return number;
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return absent;
}

std::size_t system_memory_bytes() {
  const std::size_t kibibytes = number_after("/proc/meminfo", "MemAvailable:", kNoLimit / 1024);
  return kibibytes * 1024;
}

/// What the cgroup (version 2) leaves, its page cache counted as free; kNoLimit without a limit.
std::size_t control_group_bytes() {
  std::size_t limit = 0, used = 0;
  std::ifstream limit_file("/sys/fs/cgroup/memory.max"), used_file("/sys/fs/cgroup/memory.current");
  if (!(limit_file >> limit) || !(used_file >> used)) return kNoLimit;
  used -= std::min(used, number_after("/sys/fs/cgroup/memory.stat", "inactive_file", 0));
  return limit > used ? limit - used : 0;
}

/// A GPU's driver is there, its GPUs are not hidden, and LibTorch sees none of them.
bool misses_a_gpu() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  const std::string_view shown = visible != nullptr ? visible : "all";
  if (shown.empty() || shown == "-1") return false;
  return ::dlopen("libcuda.so.1", RTLD_LAZY) != nullptr;
}

}  // namespace

at::Device parse_device(const std::string& name) {
  const bool has_cuda = at::hasCUDA();
  if (name == "auto" && has_cuda) return {at::kCUDA, 0};
  if (name == "auto") {
    if (misses_a_gpu()) {
      log_once(LogLevel::warning,
               "device auto is the CPU: a CUDA driver is installed, but LibTorch sees no GPU (look at nvidia-smi, "
               "CUDA_VISIBLE_DEVICES and whether LibTorch is built for CUDA; run.device=cpu says nothing)");
    }
    return at::kCPU;
  }
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
  // at::set_num_threads starts a pool for some libraries, and hangs where it gets no threads; the pool of OpenMP, which
  // computes, is started with the first work, and its library ends the process. So both are tried, and started here.
  const int wanted = threads > 0 ? threads : at::get_num_threads();
  require_threads((threads > 0 ? 2 : 1) * (wanted - 1));
  if (threads > 0) at::set_num_threads(threads);
  constexpr std::int64_t elements_of_a_thread = 1 << 15;
  at::full({at::get_num_threads() * elements_of_a_thread}, 1, at::kByte);
  return at::get_num_threads();
}

void set_deterministic() {
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);  // read when cuBLAS starts
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(/*b=*/true, /*warn_only=*/false);
  context.setDeterministicFillUninitializedMemory(false);
  context.setDeterministicCuDNN(true);
  context.setBenchmarkCuDNN(false);
}

void set_tf32(bool on) {
  at::globalContext().setAllowTF32CuBLAS(on);
}

void avoid_cudnn_attention() {
  at::globalContext().setSDPUseCuDNN(false);
}

std::size_t available_memory_bytes(at::Device device) {
  if (device.is_cuda()) return at::accelerator::getMemoryInfo(device.index()).first;
  return std::min(system_memory_bytes(), control_group_bytes());
}

std::size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

}  // namespace shine
