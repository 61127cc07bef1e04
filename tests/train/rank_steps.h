#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "shine/common/str.h"
#include "shine/train/train_step.h"
#include "train/tiny_objective.h"

namespace shine::test {

using Rows = std::vector<std::vector<std::int64_t>>;

/// How a step is made.
struct StepForm {
  LossAverage average = LossAverage::tokens;
  PenaltyConfig penalty;
  bool shard = false;
  NonfiniteScope nonfinite = NonfiniteScope::micro_batch;
  std::int64_t pass_tokens = 0;
};

inline std::vector<StepForm> all_step_forms() {
  std::vector<StepForm> forms;
  for (const LossAverage average : {LossAverage::tokens, LossAverage::micro_batch}) {
    for (const bool shard : {false, true}) {
      for (const NonfiniteScope nonfinite : {NonfiniteScope::micro_batch, NonfiniteScope::step}) {
        for (const std::int64_t pass_tokens : {0, 12}) {
          forms.push_back({average, {}, shard, nonfinite, pass_tokens});
          for (const RegularizerForm form : {RegularizerForm::mean, RegularizerForm::sum}) {
            forms.push_back({average, {0.3, form}, shard, nonfinite, pass_tokens});
          }
        }
      }
    }
  }
  return forms;
}

/// Micro-batches of steps: ordinary ones, fewer than ranks, and steps in which one rank or all lose some or all of
/// theirs.
inline std::vector<std::vector<Rows>> rank_step_cases() {
  const Rows first{{1, 2, 3}}, second{{4}, {9}}, third{{5, 5}}, fourth{{6}, {7, 8}, {1}};
  const Rows unlabelled{{-100, -100}, {-100}}, small{{3}}, small_nan{{QuadraticObjective::kNaNLoss}};
  const Rows nan_loss{{QuadraticObjective::kNaNLoss, 5, 6, 7}}, nan_gradient{{QuadraticObjective::kNaNGradient}};
  return {{first, second, third, fourth},
          {first, second, third},
          {first},
          {first, nan_loss, third, fourth},
          {first, second, third, nan_loss},
          {nan_loss, nan_loss, third, nan_loss},
          {first, unlabelled, third, unlabelled},
          {unlabelled, nan_loss, third},
          {unlabelled, nan_loss},
          {},
          {first, second, nan_gradient, fourth},
          {first, second, nan_loss, third, third, first, second, nan_loss},
          {small, third, small_nan, small_nan, third, small}};
}

struct StepOutcome {
  StepResult result;
  double weight = 0.0;
  std::vector<std::int64_t> passes;  ///< samples of each pass of this rank
};

/// One step of the quadratic objective over this rank's micro-batches: number i is that of rank i % size.
inline StepOutcome run_rank_step(const std::shared_ptr<ProcessGroup>& ranks, const StepForm& form,
                                 const std::vector<Rows>& micro_batches) {
  OptimizerConfig config;
  config.loss_average = form.average;
  config.clip = ClipKind::none;
  config.shard = form.shard;
  config.nonfinite = form.nonfinite;
  config.pass_tokens = form.pass_tokens;
  const QuadraticObjective objective(0.5, form.penalty.weight > 0);
  std::vector<ModelBatch> mine;
  for (auto i = static_cast<std::size_t>(ranks->rank()); i < micro_batches.size();
       i += static_cast<std::size_t>(ranks->size())) {
    mine.push_back(batch_of(micro_batches[i]));
  }
  AdamW optimizer(make_param_groups(objective.trained(), config), config, ranks);
  TrainStep step(objective, optimizer, config, form.penalty);
  StepOutcome outcome;
  outcome.result = step.run(mine, 0.01, [&] { return std::vector<double>{1.0, static_cast<double>(ranks->rank())}; });
  outcome.weight = objective.weight();
  outcome.passes = objective.batches();
  return outcome;
}

/// How a step over ranks differs from the same step in one process with a pass for each micro-batch; empty: not at all.
inline std::string difference_to_one_process(const std::shared_ptr<ProcessGroup>& ranks, const StepForm& form,
                                             const std::vector<Rows>& micro_batches) {
  const StepOutcome found = run_rank_step(ranks, form, micro_batches);
  StepForm plain = form;
  plain.pass_tokens = 0;
  const StepOutcome expected = run_rank_step(single_process(), plain, micro_batches);
  std::string text;
  const auto compare = [&](const char* what, double value, double wanted) {
    if (std::abs(value - wanted) > 1e-12) text += str(what, " ", value, ", expected ", wanted, "; ");
  };
  const auto count = [](auto value) { return static_cast<double>(value); };
  compare("skipped", count(found.result.skipped), count(expected.result.skipped));
  compare("dropped", count(found.result.dropped), count(expected.result.dropped));
  compare("labels", count(found.result.labels), count(expected.result.labels));
  compare("tokens", count(found.result.tokens), count(expected.result.tokens));
  compare("weight", found.weight, expected.weight);
  compare("ranks", found.result.tallies.at(0), ranks->size());
  compare("sum of ranks", found.result.tallies.at(1), ranks->size() * (ranks->size() - 1) / 2);
  if (expected.result.skipped) return text;
  compare("loss", found.result.loss, expected.result.loss);
  compare("penalty", found.result.penalty, expected.result.penalty);
  compare("norm", found.result.norms.global_norm, expected.result.norms.global_norm);
  return text;
}

}  // namespace shine::test
