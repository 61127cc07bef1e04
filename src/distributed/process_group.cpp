#include "shine/distributed/process_group.h"

#include "distributed/backends.h"
#include "shine/common/error.h"

namespace shine {

std::unique_ptr<ProcessGroup> make_process_group(const Launch& launch, at::Device device, const GroupOptions& options) {
  if (launch.size == 1) return single_process();
  if (device.is_cuda()) return make_nccl_group(launch, device, options);
  SHINE_CHECK(launch.launcher != Launcher::torchrun, ConfigError, "torchrun started ", launch.size,
              " ranks for the CPU, which communicate over MPI (start them with mpirun -n ", launch.size,
              ", or set run.device=cuda)");
  return make_mpi_group(launch, options);
}

}  // namespace shine
