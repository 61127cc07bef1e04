#pragma once

#include <string_view>

#include "shine/distributed/launch.h"

namespace shine {

/// Tells the other ranks why this one ends before make_process_group, where they would wait for it: a job on GPUs that
/// torchrun or srun started. Nothing in other jobs, of one process, on the CPU, or of mpirun, which ends the others.
/// Takes a few seconds at most where the others cannot be reached, and on rank 0 until all have heard, for whom it
/// serves the store; not longer than 20 s.
/// @param device_name  as run.device; "auto" where it is not known yet
void report_failure_before_start(const Launch& launch, std::string_view device_name, std::string_view reason) noexcept;

}  // namespace shine
