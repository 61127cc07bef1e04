#pragma once

#include <string_view>

#include "shine/distributed/launch.h"

namespace shine {

/// Tells the other ranks why this one ends before make_process_group, where they would wait for it: in a job on GPUs
/// that torchrun or srun started. Does nothing in other jobs: of one process, on the CPU, or of mpirun, which ends the
/// others. Takes a few seconds at most if the others cannot be reached; rank 0, which serves the store, waits until all
/// have been told, 20 s at most.
/// @param device_name  as run.device; "auto" where it is not known yet
void report_failure_before_start(const Launch& launch, std::string_view device_name, std::string_view reason) noexcept;

}  // namespace shine
