#include "app/train/describe_rank.h"

#include "checkpoint/run_folder.h"
#include "shine/common/str.h"

namespace shine {
namespace {

bool may_be_gpu(const std::string& device) {
  return device != "cpu";
}

std::string device_text(const std::string& device, const Launch& launch) {
  if (!may_be_gpu(device) || device.starts_with("cuda:")) return device;
  const std::string gpu = str("cuda:", launch.local_rank);
  return device == "auto" ? str(gpu, " where this machine has GPUs, else cpu") : gpu;
}

std::string meeting_text(const std::string& device, const Launch& launch) {
  if (launch.size == 1) return "alone";
  if (!may_be_gpu(device)) return "meets the others through MPI";
  const std::string store =
      launch.agent_store ? "store of the launcher" : (launch.rank == 0 ? "store kept by this rank" : "store of rank 0");
  const bool unknown = device == "auto" && launch.master_address.empty() && launch.local_size < launch.size;
  const Launch place = unknown ? launch : require_master(launch);
  const std::string address = unknown ? "MASTER_ADDR (not set)" : str(place.master_address, ":", place.master_port);
  return str("meets the others through NCCL by the ", store, " at ", address,
             device == "auto" ? ", on CPUs through MPI" : "");
}

/// Micro-batches of a whole step that come to this rank, where all are equally long.
std::int64_t share_of(std::int64_t micro_batches, const Launch& launch) {
  return micro_batches / launch.size + (launch.rank < micro_batches % launch.size ? 1 : 0);
}

}  // namespace

std::string describe_rank(const ExperimentConfig& config, const Launch& launch) {
  const OptimizerConfig& optimizer = config.optimizer;
  const RunFolder run{config.run.dir};
  const bool first = launch.rank == 0;
  const std::string moments = optimizer.shard && launch.size > 1 ? str("1/", launch.size) : "all";
  return str("rank ", launch.rank, " of ", launch.size, ": local rank ", launch.local_rank, " of ", launch.local_size,
             "; device ", device_text(config.run.device, launch), "; ", share_of(optimizer.accumulation, launch),
             " of ", optimizer.accumulation, " micro-batches of ", optimizer.batch_size, " a step; ", moments,
             " of the moments; ", meeting_text(config.run.device, launch), "; writes ",
             first ? str("checkpoints, metrics and log in ", config.run.dir) : run.log(launch.rank).string(), "\n");
}

}  // namespace shine
