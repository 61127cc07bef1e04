#pragma once

#include <memory>

#include "shine/distributed/process_group.h"

namespace shine {

// The backends of make_process_group; each has a stub for builds without it. Errors as there.

/// Ranks on CPUs, over MPI, which a process can start only once. Throws ConfigError where MPI counts other ranks than
/// the launcher's environment does.
std::unique_ptr<ProcessGroup> make_mpi_group(const Launch& launch, const GroupOptions& options);

/// Ranks on GPUs, one each, over c10d's TCPStore and ProcessGroupNCCL.
std::unique_ptr<ProcessGroup> make_nccl_group(const Launch& launch, at::Device device, const GroupOptions& options);

}  // namespace shine
