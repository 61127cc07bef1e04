#include "app/train/rank.h"

#include <exception>
#include <memory>

#include "common/process_label.h"
#include "distributed/rank_device.h"
#include "distributed/start_failure.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"
#include "shine/distributed/launch.h"

namespace shine {
namespace {

/// Says which rank of the job this process is, before anything else is said.
void name_process(const Launch& launch) {
  set_process_label(rank_label(launch), launch.rank == 0);
  if (launch.rank > 0) set_console_level(LogLevel::error);
}

}  // namespace

ExperimentConfig Rank::own_config(ExperimentConfig config) const {
  config.run.device = device_.str();
  config.run.threads = threads_;
  return config;
}

void Rank::leave() {
  if (has_left_) return;
  group_.finish();
  has_left_ = true;
}

int run_rank(const std::function<RankSettings()>& settings, const std::function<int(Rank&)>& body) {
  const Launch launch = read_launch();
  name_process(launch);
  RankSettings asked;
  at::Device device = at::kCPU;
  int threads = 0;
  std::unique_ptr<ProcessGroup> group;
  try {
    asked = settings();
    device = rank_device(asked.device, launch);
    threads = rank_threads(asked.threads, launch);
    group = make_process_group(launch, device, {asked.timeout_seconds});
  } catch (const std::exception& fault) {
    // What goes wrong among ranks on GPUs while they meet they tell each other.
    if (!device.is_cuda()) report_failure_before_start(launch, asked.device, fault.what());
    throw;
  }
  Rank rank(*group, device, threads, launch.local_size);
  try {
    const int status = body(rank);
    rank.leave();
    return status;
  } catch (const std::exception& fault) {
    if (!rank.has_left()) group->fail(fault.what());
    throw;
  }
}

int run_rank(const std::function<ExperimentConfig()>& load,
             const std::function<int(const ExperimentConfig&, Rank&)>& body) {
  ExperimentConfig config;
  const auto settings = [&]() -> RankSettings {
    config = load();
    return {config.run.device, static_cast<int>(config.run.threads), config.run.rank_timeout};
  };
  return run_rank(settings, [&](Rank& rank) { return body(config, rank); });
}

}  // namespace shine
