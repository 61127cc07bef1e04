#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "shine/checkpoint/checkpoint_saver.h"
#include "shine/checkpoint/metrics_file.h"
#include "shine/config/data_config.h"
#include "shine/config/optimizer_config.h"
#include "shine/config/run_config.h"
#include "shine/config/validation_config.h"
#include "shine/data/loader.h"
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
  /// Compares the LoRAs generated for held-out contexts, each rank some of them; nothing on any rank where `stop`,
  /// asked between batches, says so. Absent where none are generated.
  std::function<std::optional<LoraDiagnostics>(ProcessGroup& ranks, const std::function<bool()>& stop)> diagnostics;
};

struct TrainerOptions {
  RunConfig run;
  SampleOrder order = SampleOrder::shuffled;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  CheckpointConfig checkpoint;
  ValidationConfig validation;
  LoggingConfig logging;
  std::string config_yaml;  ///< the resolved configuration, saved beside the weights
  at::Device device = at::kCPU;

  /// Asked after every step: a reason to save and stop ("SIGTERM"), or nothing. May be absent.
  std::function<std::string()> stop_reason;
  /// A resume may change options that shape the numbers: each change is a warning instead of an error.
  bool allow_changes = false;
  /// From when run.max_minutes counts.
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

/// What a run has to show at its end.
struct TrainSummary {
  TrainProgress progress;
  std::string checkpoint;  ///< folder of the last one; empty where nothing was trained
  std::string stopped_by;  ///< what ended it before the end it was asked for; empty: it came to that end
};

/// Runs a stage: micro-batches, optimizer steps, schedule, metrics, validation, checkpoints, resume. Over several ranks
/// every one makes the same calls; the first alone reads and writes the run folder. A step, and with it every loss, is
/// the same for any number of ranks up to rounding.
class Trainer {
 public:
  /// Goes on from the newest intact checkpoint of run.dir, unless checkpoint.resume says never; the other ranks get
  /// everything from the first. Throws ConfigError for one that does not fit (other data, another schedule or, with
  /// run.deterministic, other threads or ranks), FormatError where all are damaged or the weights are others,
  /// DivergenceError where the ranks differ in a tensor all the same.
  Trainer(Stage stage, TrainerOptions options, std::shared_ptr<ProcessGroup> ranks = single_process());

  /// Trains to the end of the schedule, to run.max_steps, or until any rank is asked to stop; then saves.
  /// Throws what data, model and files throw, and DivergenceError (run.check_every).
  TrainSummary run();

  /// Optimizer steps of the whole schedule: epochs * ceil(batches / accumulation).
  std::int64_t total_steps() const { return progress_.total_steps; }

 private:
  using Found = std::optional<CheckpointStore::Found>;

  Sampler make_sampler() const;
  void start(Sampler& sampler);
  Found find_checkpoint() const;
  void restore(const Found& found, Sampler& sampler);
  void restore_tensors(const Found& found);
  void require_equal_ranks(const std::string& when) const;
  void log_plan() const;
  void write_data_counts();
  bool validation_due() const;
  bool checkpoint_due() const;
  std::string local_reason_to_stop(double step_seconds = 0.0) const;
  std::string agree_on_stop() const;
  void train_one_step();
  void report_step(const StepResult& result, double rate, double seconds);
  void run_validation();
  void report_diagnostics(const LoraDiagnostics& diagnostics);
  void record(nlohmann::ordered_json event);
  CheckpointContents contents() const;
  void save();

  Stage stage_;
  TrainerOptions options_;
  std::shared_ptr<ProcessGroup> ranks_;
  AdamW optimizer_;
  CheckpointSaver saver_;
  TrainProgress progress_;
  std::int64_t last_step_ = 0, saved_step_ = -1;
  double longest_step_ = 0.0;  ///< seconds
  bool asked_to_stop_ = true;  ///< a rank may have a reason to stop: they must agree
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<MetricsFile> metrics_;  ///< of the first rank
  LoraWatch watch_;
  ProgressLine line_;
};

}  // namespace shine
