#include "shine/distributed/launch.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

constexpr std::array kTorchrun{"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
constexpr std::array kMpirun{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                             "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr std::array kSrun{"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NODEID",
                           "SLURM_STEP_TASKS_PER_NODE"};

std::string text_of(const Environment& environment, const char* name) {
  const char* text = environment(name);
  return text == nullptr ? "" : text;
}

template <class Names>
bool any_set(const Environment& environment, const Names& names) {
  for (const char* name : names) {
    if (environment(name) != nullptr) return true;
  }
  return false;
}

template <class Names>
void require_all(const Environment& environment, const Names& names, std::string_view launcher) {
  std::vector<std::string> set, missing;
  for (const char* name : names) (environment(name) != nullptr ? set : missing).emplace_back(name);
  if (missing.empty()) return;
  throw ConfigError(str(launcher, " sets ", join(names, ", "), "; here ", join(missing, ", "),
                        missing.size() == 1 ? " is missing beside " : " are missing beside ", join(set, ", ")),
                    "environment", "set all of them, or unset all for a single process");
}

/// A whole number >= 0 and nothing else: no sign, no blanks.
bool parse_number(std::string_view text, int& value) {
  if (text.empty() || text[0] == '-') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

int number(const Environment& environment, const char* name) {
  int value = 0;
  const std::string text = text_of(environment, name);
  SHINE_CHECK(parse_number(text, value), ConfigError, "environment: ", name, " is `", text, "`, not a whole number");
  return value;
}

void require_inside(int rank, const char* rank_name, int size, const char* size_name) {
  SHINE_CHECK(rank < size, ConfigError, "environment: ", rank_name, " is ", rank, " and ", size_name, " is ", size,
              ": ranks count from 0");
}

/// Rank, size and their local counterparts, by the names of a launcher in this order.
void read_ranks(const Environment& environment, const std::array<const char*, 4>& names, Launch& launch) {
  launch.rank = number(environment, names[0]);
  launch.size = number(environment, names[1]);
  launch.local_rank = number(environment, names[2]);
  launch.local_size = number(environment, names[3]);
  require_inside(launch.rank, names[0], launch.size, names[1]);
  require_inside(launch.local_rank, names[2], launch.local_size, names[3]);
  SHINE_CHECK(launch.local_size <= launch.size, ConfigError, "environment: ", names[3], " is ", launch.local_size,
              ", more than ", names[1], ", which is ", launch.size);
}

/// Tasks on machine number `node` by Slurm's list, such as "2(x3),1": two on each of three machines, one on the fourth.
int tasks_on_node(const std::string& list, int node) {
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
    int tasks = 0, nodes = 1;
    const std::size_t times = item.find("(x");
    bool sound = parse_number(item.substr(0, times), tasks);
    if (times != item.npos)
      sound = sound && item.ends_with(')') && parse_number(item.substr(times + 2, item.size() - times - 3), nodes);
    SHINE_CHECK(sound, ConfigError, "environment: SLURM_STEP_TASKS_PER_NODE is `", list, "`, not like `2(x3),1`");
    if (node < nodes) return tasks;
    node -= nodes;
  }
  throw ConfigError(str("environment: SLURM_STEP_TASKS_PER_NODE is `", list, "`, too short for this machine's number"));
}

void read_torchrun(const Environment& environment, Launch& launch) {
  require_all(environment, kTorchrun, "torchrun");
  launch.launcher = Launcher::torchrun;
  read_ranks(environment, kTorchrun, launch);
  launch.agent_store = text_of(environment, "TORCHELASTIC_USE_AGENT_STORE") == "True";
  launch.job =
      str(text_of(environment, "TORCHELASTIC_RUN_ID"), '.', text_of(environment, "TORCHELASTIC_RESTART_COUNT"));
}

void read_mpirun(const Environment& environment, Launch& launch) {
  require_all(environment, kMpirun, "OpenMPI's mpirun");
  launch.launcher = Launcher::mpirun;
  read_ranks(environment, kMpirun, launch);
  launch.job = text_of(environment, "PMIX_NAMESPACE");
}

void read_srun(const Environment& environment, Launch& launch) {
  require_all(environment, kSrun, "srun");
  launch.launcher = Launcher::srun;
  launch.rank = number(environment, "SLURM_PROCID");
  launch.size = number(environment, "SLURM_STEP_NUM_TASKS");
  launch.local_rank = number(environment, "SLURM_LOCALID");
  launch.local_size =
      tasks_on_node(text_of(environment, "SLURM_STEP_TASKS_PER_NODE"), number(environment, "SLURM_NODEID"));
  require_inside(launch.rank, "SLURM_PROCID", launch.size, "SLURM_STEP_NUM_TASKS");
  require_inside(launch.local_rank, "SLURM_LOCALID", launch.local_size, "this machine's SLURM_STEP_TASKS_PER_NODE");
  SHINE_CHECK(launch.local_size <= launch.size, ConfigError, "environment: SLURM_STEP_TASKS_PER_NODE has ",
              launch.local_size, " tasks for this machine, more than SLURM_STEP_NUM_TASKS, which is ", launch.size);
  launch.job = str(text_of(environment, "SLURM_JOB_ID"), '.', text_of(environment, "SLURM_STEP_ID"), '.',
                   text_of(environment, "SLURM_RESTART_COUNT"));
}

void read_master(const Environment& environment, Launch& launch) {
  launch.master_address = text_of(environment, "MASTER_ADDR");
  if (environment("MASTER_PORT") == nullptr) return;
  launch.master_port = number(environment, "MASTER_PORT");
  SHINE_CHECK(launch.master_port >= 1 && launch.master_port <= 65535, ConfigError, "environment: MASTER_PORT is ",
              launch.master_port, ", outside 1 .. 65535");
}

}  // namespace

Launch read_launch(const Environment& environment) {
  Launch launch;
  if (any_set(environment, kTorchrun)) {
    read_torchrun(environment, launch);
  } else if (any_set(environment, kMpirun)) {
    read_mpirun(environment, launch);
  } else if (any_set(environment, std::array{"MPI_LOCALRANKID", "MPI_LOCALNRANKS"})) {
    throw ConfigError("the mpirun of MPICH started this process", "environment",
                      "start it with OpenMPI's mpirun, torchrun or srun");
  } else if (any_set(environment, std::array{"SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"})) {
    read_srun(environment, launch);
  }
  read_master(environment, launch);
  return launch;
}

Launch read_launch() {
  return read_launch([](const char* name) { return static_cast<const char*>(std::getenv(name)); });
}

Launch require_master(Launch launch) {
  std::vector<std::string> missing;
  if (launch.master_address.empty()) missing.emplace_back("MASTER_ADDR");
  if (launch.master_port == 0) missing.emplace_back("MASTER_PORT");
  SHINE_CHECK(missing.empty() || launch.local_size == launch.size, ConfigError,
              "environment: a job on GPUs of several ", "machines, and ", join(missing, " and "),
              " not set (set MASTER_ADDR to the name of rank 0's machine and ",
              "MASTER_PORT to a free port there, on every machine alike)");
  if (launch.master_address.empty()) launch.master_address = "127.0.0.1";
  if (launch.master_port == 0) launch.master_port = kDefaultMasterPort;
  return launch;
}

std::string rank_label(const Launch& launch) {
  return launch.size == 1 ? "" : str("rank ", launch.rank, " of ", launch.size);
}

}  // namespace shine
