#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shine/config/evaluation_config.h"
#include "shine/config/optimizer_config.h"
#include "shine/config/run_config.h"
#include "shine/data/loader.h"
#include "shine/run/checkpoint_saver.h"
#include "shine/run/metrics_file.h"
#include "shine/train/diagnostics.h"
#include "shine/train/progress.h"
#include "shine/train/train_step.h"
#include "shine/train/validation.h"

namespace shine {

/// What became of the data of one set: samples, what was dropped or cut, by name.
struct DataCounts {
  std::string set;
  std::vector<std::pair<std::string, std::int64_t>> counts;
};

/// What is trained on what: the trainer knows no stage by name.
struct Stage {
  std::string name;
  std::shared_ptr<const Dataset> train;
  std::vector<ValidationSet> validation;
  std::shared_ptr<const Objective> objective;
  PenaltyConfig penalty;
  std::uint64_t frozen_fingerprint = 0;  ///< of weights that are read and not trained, by which a resume notices others
  std::vector<DataCounts> data_counts;   ///< written into the metrics once, at the beginning of the run
  /// All weights a checkpoint keeps, frozen ones of the hypernetwork too.
  std::function<std::vector<std::pair<std::string, at::Tensor>>()> weights;
  /// Compares the LoRAs generated for held-out contexts; nothing where `stop`, asked between batches, says so. Absent
  /// where none are generated.
  std::function<std::optional<LoraDiagnostics>(const std::function<bool()>& stop)> diagnostics;
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

  /// Asked after every step: a reason to save and stop ("SIGTERM"), or nothing. May be absent.
  std::function<std::string()> stop_reason;
  /// From when run.max_minutes counts.
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

/// What a run has to show at its end.
struct TrainSummary {
  TrainProgress progress;
  std::string checkpoint;  ///< folder of the last one; empty where nothing was trained
  std::string stopped_by;  ///< what ended it before the end it was asked for; empty: it came to that end
};

/// Runs a stage in one process: micro-batches, optimizer steps, schedule, metrics, validation, checkpoints, resume.
class Trainer {
 public:
  /// Goes on from the newest intact checkpoint of run.dir, unless checkpoint.resume says never. Throws ConfigError for
  /// one that does not fit (other data, another schedule or, with run.deterministic, other threads), FormatError where
  /// all are damaged or the weights are others.
  Trainer(Stage stage, TrainerOptions options);

  /// Trains to the end of the schedule, to run.max_steps, or until it is asked to stop; then saves.
  /// Throws what data, model and files throw.
  TrainSummary run();

  /// Optimizer steps of the whole schedule: epochs * ceil(batches / accumulation).
  std::int64_t total_steps() const { return progress_.total_steps; }

 private:
  /// The metrics of the checkpoint that is resumed from; empty for a new run.
  std::string resume();
  void restore(const CheckpointStore::Found& found);
  void check_same_data(const std::map<std::string, std::uint64_t>& saved, const std::string& where) const;
  void check_same_machine(const Provenance& saved, const std::string& where) const;
  void log_groups() const;
  void write_data_counts();
  bool validation_due() const;
  bool checkpoint_due() const;
  std::string reason_to_stop() const;
  std::vector<ModelBatch> next_step_batches();
  void train_one_step();
  void report_step(const StepResult& result, double rate, double seconds);
  void run_validation();
  void report_diagnostics(const LoraDiagnostics& diagnostics);
  CheckpointContents contents() const;
  void save();

  Stage stage_;
  TrainerOptions options_;
  AdamW optimizer_;
  CheckpointSaver saver_;
  TrainProgress progress_;
  std::int64_t batches_per_epoch_ = 0, last_step_ = 0, saved_step_ = -1;
  double longest_step_ = 0.0;  ///< seconds
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<MetricsFile> metrics_;
  LoraWatch watch_;
  ProgressLine line_;
};

}  // namespace shine
