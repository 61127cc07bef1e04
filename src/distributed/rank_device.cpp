#include "distributed/rank_device.h"

#include <ATen/Context.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "shine/common/error.h"
#include "shine/common/str.h"
#include "shine/tensor/device.h"

namespace shine {

at::Device rank_device(const std::string& name, const Launch& launch) {
  const at::Device device = parse_device(name);
  if (launch.size == 1 || !device.is_cuda()) return device;
  const bool numbered = name.starts_with("cuda:");
  SHINE_CHECK(!numbered || launch.local_size == 1, ConfigError, "run.device is ", name, " for all ", launch.local_size,
              " ranks of this machine, and each needs its own GPU (set run.device=cuda)");
  if (numbered) return device;
  return parse_device(str("cuda:", rank_gpu(launch, static_cast<int>(at::getNumGPUs()))));
}

int rank_gpu(const Launch& launch, int gpus) {
  if (gpus == 1) return 0;
  SHINE_CHECK(launch.local_size <= gpus, UnsupportedError, "this machine has ", gpus, " GPUs for ", launch.local_size,
              " ranks, and each needs its own (start at most ", gpus, " ranks here)");
  return launch.local_rank;
}

int rank_threads(int threads, const Launch& launch) {
  if (threads > 0 || launch.local_size == 1 || std::getenv("OMP_NUM_THREADS") != nullptr) return threads;
  const auto online = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t usable;
  const bool known = ::sched_getaffinity(0, sizeof usable, &usable) == 0;
  return rank_cores(launch, online, known ? CPU_COUNT(&usable) : online);
}

int rank_cores(const Launch& launch, int online, int usable) {
  return std::min(usable, std::max(1, online / launch.local_size));
}

}  // namespace shine
