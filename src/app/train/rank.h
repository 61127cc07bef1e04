#pragma once

#include <functional>
#include <memory>
#include <string>

#include "shine/app/experiment_config.h"
#include "shine/common/api.h"
#include "shine/distributed/process_group.h"

namespace shine {

/// This process as one rank of its job.
class SHINE_API Rank {
 public:
  /// @param threads     CPU threads of this rank (see rank_threads)
  /// @param local_size  ranks on this machine
  Rank(ProcessGroup& group, at::Device device, int threads, int local_size = 1)
      : group_(group), device_(device), threads_(threads), local_size_(local_size) {}

  ProcessGroup& group() const { return group_; }
  at::Device device() const { return device_; }
  int threads() const { return threads_; }
  int local_size() const { return local_size_; }

  /// The same, shared; it must not outlive the job.
  std::shared_ptr<ProcessGroup> shared_group() const {
    return {&group_, [](ProcessGroup*) {}};
  }
  bool is_first() const { return group_.is_first(); }

  /// The configuration that this rank builds its model by, with run.device and run.threads of its own. What is saved is
  /// the one that all ranks were given.
  ExperimentConfig own_config(ExperimentConfig config) const;

  /// After the last collective: waits for all ranks and leaves the group. Rank 0 may then take its time, since nobody
  /// waits for it; the launcher lets it finish as long as the others end with status 0.
  void leave();
  bool has_left() const { return has_left_; }

 private:
  ProcessGroup& group_;
  at::Device device_;
  int threads_;
  int local_size_;
  bool has_left_ = false;
};

struct RankSettings {
  std::string device = "auto";   ///< as run.device
  int threads = 0;               ///< as run.threads
  double timeout_seconds = 600;  ///< as run.rank_timeout
};

/// Runs a program as one rank of the job that it was started in, which may be a job of one: reads the launch, forms the
/// group, runs the body and leaves with the others. What the body throws is reported to them, if possible, and
/// rethrown.
/// @param settings  asked once this process knows its name in messages
/// @param body      gives the exit status; only rank 0 prints
SHINE_API int run_rank(const std::function<RankSettings()>& settings, const std::function<int(Rank&)>& body);

/// The same by run.device, run.threads and run.rank_timeout of a configuration that every rank reads.
SHINE_API int run_rank(const std::function<ExperimentConfig()>& load,
                       const std::function<int(const ExperimentConfig&, Rank&)>& body);

}  // namespace shine
