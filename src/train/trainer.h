#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "checkpoint/checkpoint_saver.h"
#include "data/sampling/loader.h"
#include "shine/common/api.h"
#include "shine/config/data_config.h"
#include "shine/config/optimizer_config.h"
#include "shine/config/run_config.h"
#include "shine/config/validation_config.h"
#include "train/stage.h"

namespace shine {

struct TrainerOptions {
  RunConfig run;
  SampleOrder order = SampleOrder::shuffled;
  int loader_threads = 1;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  CheckpointConfig checkpoint;
  ValidationConfig validation;
  LoggingConfig logging;
  std::string config_yaml;  ///< the resolved configuration, saved beside the weights
  at::Device device = at::kCPU;

  /// Called after every step: a reason to save and stop ("SIGTERM"), or nothing. May be absent.
  std::function<std::string()> stop_reason;
  /// A resume may change options that affect the numbers: each change is a warning instead of an error.
  bool allow_changes = false;
  /// When run.max_minutes starts to count.
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

/// The order in which a run takes its samples, from the start. Throws ConfigError for an empty data set.
Sampler make_sampler(const Dataset& dataset, const TrainerOptions& options);

/// The outcome of a run.
struct TrainSummary {
  TrainProgress progress;
  std::string checkpoint;  ///< folder of the last one; empty where nothing was trained
  std::string stopped_by;  ///< what ended it early; empty: it reached its end
};

class Reporter;
struct TrainState;

/// Runs a stage: micro-batches, optimizer steps, schedule, metrics, validation, checkpoints, resume. All ranks make the
/// same calls; only the first reads and writes the run folder. A step, and with it every loss, is the same for any
/// number of ranks up to rounding.
class SHINE_API Trainer {
 public:
  /// Resumes from the newest intact checkpoint of run.dir, unless checkpoint.resume is never; the other ranks get
  /// everything from the first. Throws ConfigError for a checkpoint that does not fit (other data, another schedule or,
  /// with run.deterministic, other threads or ranks), FormatError if all are damaged or hold other weights,
  /// DivergenceError if the ranks differ in a tensor nevertheless.
  Trainer(Stage stage, TrainerOptions options, std::shared_ptr<ProcessGroup> ranks = single_process());
  ~Trainer();

  /// Trains to the end of the schedule, to run.max_steps, or until any rank is asked to stop; then saves.
  /// Throws what data, model and files throw, and DivergenceError (run.check_every).
  TrainSummary run();

  /// Optimizer steps of the whole schedule: epochs * ceil(batches / accumulation).
  std::int64_t total_steps() const;

 private:
  bool due(std::int64_t every_steps) const;
  bool validation_due() const;
  std::string local_reason_to_stop(double step_seconds = 0.0) const;
  std::string agree_on_stop();
  void train_one_step();
  void run_validation();
  void require_equal_ranks() const;
  void save();

  Stage stage_;
  TrainerOptions options_;
  std::shared_ptr<ProcessGroup> ranks_;
  CheckpointSaver saver_;
  std::unique_ptr<TrainState> state_;
  std::int64_t last_step_ = 0, saved_step_ = 0;
  double longest_step_ = 0.0;  ///< seconds
  bool asked_to_stop_ = true;  ///< a rank may have a reason to stop: they must agree
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<Reporter> reporter_;
};

}  // namespace shine
