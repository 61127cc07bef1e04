#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "shine/distributed/launch.h"

namespace shine {

/// The device of this rank: run.device; "cuda" without a number is the GPU of the local rank. Throws ConfigError for a
/// GPU's number if several ranks share the machine, UnsupportedError for more ranks than GPUs, and what parse_device
/// throws.
at::Device rank_device(const std::string& name, const Launch& launch);

/// The number of this rank's GPU among the `gpus` that it sees: its local rank, or 0 if it sees only one, as Slurm may
/// arrange for each task. Throws UnsupportedError for more ranks on this machine than GPUs.
int rank_gpu(const Launch& launch, int gpus);

/// CPU threads of this rank: `threads`; if that is 0 and several ranks share the machine, an equal share of its cores
/// unless OMP_NUM_THREADS is set. 0: the system's choice.
int rank_threads(int threads, const Launch& launch);

/// An equal share of a machine's cores, and no more than those that this process may run on: srun, and mpirun where it
/// binds, give each rank its own.
/// @param online  cores of the machine
/// @param usable  those that this process may run on, at least one
int rank_cores(const Launch& launch, int online, int usable);

}  // namespace shine
