#pragma once

#include <functional>
#include <string>

#include "shine/common/api.h"

namespace shine {

/// Who started this process.
enum class Launcher { none, torchrun, mpirun, srun };

/// This process's place in its job.
struct Launch {
  Launcher launcher = Launcher::none;
  int rank = 0;        ///< among all processes, from 0
  int size = 1;        ///< processes of the job
  int local_rank = 0;  ///< among those of this machine: the number of its GPU
  int local_size = 1;  ///< processes on this machine
  /// Where the ranks of a job on GPUs find each other: MASTER_ADDR and MASTER_PORT; empty and 0 where they are not set.
  std::string master_address;
  int master_port = 0;
  /// The launcher itself runs the store at that address; rank 0 is a client of it too.
  bool agent_store = false;
  /// Equal on all ranks of a job, different for each job and each restart; may be empty.
  std::string job;
};

/// The port where ranks of one machine meet unless MASTER_PORT says otherwise.
inline constexpr int kDefaultMasterPort = 29500;

/// Looks a variable up; null where it is not set.
using Environment = std::function<const char*(const char* name)>;

/// Reads what torchrun set (RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, TORCHELASTIC_USE_AGENT_STORE), else
/// OpenMPI's mpirun (OMPI_COMM_WORLD_RANK, .._SIZE, .._LOCAL_RANK, .._LOCAL_SIZE), else Slurm's srun (SLURM_PROCID,
/// SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_NODEID, SLURM_STEP_TASKS_PER_NODE); a process with none of them is a job
/// of its own, and so is a Slurm batch script, which is not a step. The first of these launchers that set anything
/// counts: torchrun may be started by srun, mpirun within a Slurm job. MASTER_ADDR and MASTER_PORT are always read.
/// Throws ConfigError, naming the variables, for an incomplete set, a value that is not a number, a rank outside its
/// size, a port outside 1 .. 65535, and an unknown launcher.
SHINE_API Launch read_launch(const Environment& environment);

/// The same from this process's environment.
SHINE_API Launch read_launch();

/// `launch` with the address and port where the ranks of a job on GPUs meet: its own; if these are not set, 127.0.0.1
/// and kDefaultMasterPort for a job on one machine. Throws ConfigError for a job on several machines without them.
SHINE_API Launch require_master(Launch launch);

/// "rank 3 of 8"; empty for a single process.
SHINE_API std::string rank_label(const Launch& launch);

}  // namespace shine
