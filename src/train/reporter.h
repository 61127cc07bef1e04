#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "checkpoint/metrics_file.h"
#include "checkpoint/train_progress.h"
#include "shine/optim/adamw.h"
#include "train/diagnostics.h"
#include "train/progress.h"
#include "train/trainer.h"

namespace shine {

/// Reports a run: in the log and, on the first rank, by a progress line, metrics.jsonl and TensorBoard.
class Reporter {
 public:
  /// @param stage, options, optimizer  must outlive this object
  /// @param last_step                  of this part of the run
  /// @param lines                      of metrics.jsonl so far
  Reporter(const Stage& stage, const TrainerOptions& options, const AdamW& optimizer, std::int64_t last_step,
           const std::string& lines);

  /// Says what is trained, from which step, on how many ranks; warns where the steps to do never reach the learning
  /// rate.
  void start(const TrainProgress& progress);

  /// The step that `progress` counts last, every logging.every_steps and the last one.
  /// @param epoch  of its samples, from 0; behind the last step of an epoch, `progress` is in the next one
  void step(const TrainProgress& progress, std::int64_t epoch, const StepResult& result, double learning_rate,
            double seconds);

  void validation(std::int64_t step, const ValidationResult& result);
  void diagnostics(std::int64_t step, const LoraDiagnostics& diagnostics);

  /// Clears the progress line, so that something else can be printed.
  void interrupt() { line_.interrupt(); }

  /// All of metrics.jsonl; "" on other ranks than the first.
  std::string lines() const { return metrics_ ? metrics_->content() : ""; }

 private:
  void warn_about_rates(const TrainProgress& progress) const;
  void plan() const;
  void record(nlohmann::ordered_json event);

  const Stage& stage_;
  const TrainerOptions& options_;
  const AdamW& optimizer_;
  std::int64_t last_step_;
  std::unique_ptr<MetricsFile> metrics_;  ///< of the first rank
  LoraWatch watch_;
  ProgressLine line_;
};

}  // namespace shine
