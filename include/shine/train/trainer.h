#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shine/config/optimizer_config.h"
#include "shine/config/run_config.h"
#include "shine/data/loader.h"
#include "shine/train/checkpoint.h"
#include "shine/train/metrics_file.h"
#include "shine/train/progress.h"
#include "shine/train/train_step.h"
#include "shine/train/validation.h"

namespace shine {

/// What is trained on what: the trainer knows no stage by name.
struct Stage {
  std::string name;
  std::shared_ptr<const Dataset> train;
  std::vector<ValidationSet> validation;
  std::shared_ptr<const Objective> objective;
  PenaltyConfig penalty;
  /// All weights a checkpoint keeps, frozen ones of the hypernetwork too.
  std::function<std::vector<std::pair<std::string, at::Tensor>>()> weights;
};

struct TrainerOptions {
  RunConfig run;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  CheckpointConfig checkpoint;
  EvaluationConfig evaluation;
  LoggingConfig logging;
  std::string config_yaml;  ///< the resolved configuration, saved beside the weights
  at::Device device = at::kCPU;
};

/// What a run has to show at its end.
struct TrainSummary {
  TrainProgress progress;
  std::string checkpoint;  ///< folder of the last one
};

/// Runs a stage in one process: micro-batches, optimizer steps, schedule, metrics, validation, checkpoints, resume.
class Trainer {
 public:
  Trainer(Stage stage, TrainerOptions options);

  /// Trains to the end of the schedule, or to run.max_steps. Throws what data, model and files throw.
  TrainSummary run();

  /// Optimizer steps of the whole schedule: epochs * ceil(batches / accumulation).
  std::int64_t total_steps() const { return total_steps_; }

 private:
  void resume();
  void log_groups() const;
  std::vector<ModelBatch> next_step_batches();
  void train_one_step();
  void report_step(const StepResult& result, double rate, double seconds);
  void run_validation();
  void save();

  Stage stage_;
  TrainerOptions options_;
  AdamW optimizer_;
  CheckpointStore store_;
  TrainProgress progress_;
  std::int64_t batches_per_epoch_ = 0, total_steps_ = 0, last_step_ = 0;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<MetricsFile> metrics_;
  ProgressLine line_;
};

}  // namespace shine
