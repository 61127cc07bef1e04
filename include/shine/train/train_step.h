#pragma once

#include <vector>

#include "shine/config/data_config.h"
#include "shine/config/optimizer_config.h"
#include "shine/optim/adamw.h"
#include "shine/train/objective.h"

namespace shine {

/// What happened in one optimizer step.
struct StepResult {
  double loss = 0.0;                 ///< the average that was minimised, without the penalty; NaN where nothing counted
  double penalty = 0.0;              ///< adapter_reg times the reduced L1 norm
  std::vector<double> micro_losses;  ///< mean over the labels of each micro-batch; NaN where it was dropped
  StepNorms norms;
  std::int64_t labels = 0;  ///< labelled tokens that counted
  std::int64_t tokens = 0;  ///< real tokens of all micro-batches
  int dropped = 0;          ///< micro-batches without labels or with a loss that is not finite
  bool skipped = false;     ///< nothing was updated: all dropped, or a gradient that is not finite
};

/// The penalty on generated vectors.
struct PenaltyConfig {
  double weight = 0.0;
  RegularizerForm form = RegularizerForm::mean;
};

/// One optimizer step over its micro-batches: forward and backward of each, clipping, AdamW (SPEC section 7).
/// The loss is the mean over all labelled tokens of the step, or the mean of the micro-batches' means (published).
class TrainStep {
 public:
  TrainStep(const Objective& objective, AdamW& optimizer, const OptimizerConfig& config, const PenaltyConfig& penalty);

  StepResult run(const std::vector<ModelBatch>& micro_batches, double learning_rate);

 private:
  struct Totals;
  struct Weights {
    double loss = 0.0, penalty = 0.0;
  };
  Weights weights_of(const ModelBatch& batch, const Totals& planned) const;

  /// Starts again without one micro-batch: loss and penalty have denominators of their own, so that no single scale
  /// gives the share of a dropped one back to the others.
  StepResult run_without(std::vector<ModelBatch> micro_batches, std::size_t index, double learning_rate);

  const Objective& objective_;
  AdamW& optimizer_;
  OptimizerConfig config_;
  PenaltyConfig penalty_;
};

}  // namespace shine
