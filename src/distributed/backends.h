#pragma once

#include <memory>

#include "shine/distributed/process_group.h"

namespace shine {

// Twins, each with a file for a build without the backend. Throw as make_process_group.

/// Ranks on CPUs, by MPI, which can be started once in a process. Throws ConfigError where MPI sees another number of
/// ranks than the launcher's environment.
std::unique_ptr<ProcessGroup> make_mpi_group(const Launch& launch, const GroupOptions& options);

/// Ranks on GPUs, one each, by c10d's TCPStore and ProcessGroupNCCL.
std::unique_ptr<ProcessGroup> make_nccl_group(const Launch& launch, at::Device device, const GroupOptions& options);

}  // namespace shine
