#pragma once

#include <functional>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/data_config.h"
#include "shine/config/optimizer_config.h"
#include "shine/optim/adamw.h"
#include "shine/train/objective.h"

namespace shine {

/// What happened in one optimizer step. All but micro_losses is over all ranks, and the same on each.
struct StepResult {
  double loss = 0.0;                 ///< the minimised average, without the penalty; NaN if nothing counted
  double penalty = 0.0;              ///< adapter_reg times the reduced L1 norm
  std::vector<double> micro_losses;  ///< mean over the labels of each micro-batch of this rank; NaN where dropped
  StepNorms norms;
  std::int64_t labels = 0;             ///< labelled tokens that counted
  std::int64_t tokens = 0;             ///< real tokens of all micro-batches
  std::int64_t dropped = 0;            ///< micro-batches without labels or with a loss that is not finite
  bool skipped = false;                ///< nothing was updated: all dropped, a gradient that is not finite, or,
                                       ///< with `nonfinite: step`, a loss
  std::vector<double> tallies;         ///< what the ranks passed to `run`, summed
  double communication_seconds = 0.0;  ///< that this rank waited for the others
  double data_seconds = 0.0;           ///< that the trainer waited for the samples of the step
};

/// The penalty on generated vectors.
struct PenaltyConfig {
  double weight = 0.0;
  RegularizerForm form = RegularizerForm::mean;
};

/// One optimizer step over its micro-batches: forward and backward of each, the sum over the ranks, clipping, AdamW.
/// The loss is the mean over all labelled tokens of the step, or the mean of the micro-batches' means (published),
/// whatever rank computed them.
///
/// Consecutive micro-batches of a rank share a pass, one forward and backward, while they have at most
/// optimizer.pass_tokens tokens together; a larger one is a pass by itself. The step is the same up to rounding. If the
/// loss of a shared pass is not finite, its micro-batches are run one by one and only those at fault are dropped (but
/// `nonfinite: step` skips the step and counts all micro-batches of the pass).
///
/// A micro-batch is dropped on its own rank; the ranks communicate once, after their last backward. With a penalty they
/// also do before the first, since loss and penalty have different denominators: the numbers of labels and samples must
/// be known before the two are added. A non-finite loss then makes all ranks repeat the step without that micro-batch.
///
/// With `nonfinite: step` losses stay on the device until the last backward; a non-finite one makes all ranks skip the
/// step, as the sums that they exchange anyway tell them.
class SHINE_API TrainStep {
 public:
  TrainStep(const Objective& objective, AdamW& optimizer, const OptimizerConfig& config, const PenaltyConfig& penalty);

  /// @param micro_batches  of this rank; there may be none
  /// @param tallies        called after the last backward: numbers to sum over the ranks, equally many on each
  StepResult run(const std::vector<ModelBatch>& micro_batches, double learning_rate,
                 const std::function<std::vector<double>()>& tallies = {});

 private:
  using Indices = std::vector<std::size_t>;
  struct Counts;
  struct Attempt;
  struct MicroValue;
  struct Weights {
    double loss = 1.0, penalty = 0.0;
  };

  bool by_step() const { return config_.nonfinite == NonfiniteScope::step; }
  bool penalised() const { return penalty_.weight > 0; }
  Weights weights_of(const ModelBatch& batch, const Counts& planned) const;
  Counts count_all(const Attempt& attempt) const;
  std::vector<Indices> plan_passes(const Attempt& attempt) const;
  void run_all(Attempt& attempt, const std::function<std::vector<double>()>& tallies);
  void run_or_drop(Attempt& attempt, const Indices& members, bool last);
  bool run_pass(Attempt& attempt, const Indices& members, bool last);
  void read_values(Attempt& attempt) const;
  void exchange(Attempt& attempt);
  StepResult update(Attempt& attempt, double learning_rate);

  const Objective& objective_;
  AdamW& optimizer_;
  OptimizerConfig config_;
  PenaltyConfig penalty_;
};

}  // namespace shine
