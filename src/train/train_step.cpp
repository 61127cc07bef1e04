#include "shine/train/train_step.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "shine/common/timer.h"

namespace shine {

/// Denominators of a step's averages. Doubles, to be summed over the ranks with other numbers.
struct TrainStep::Counts {
  double labels = 0, samples = 0, micro_batches = 0;

  void add(const ModelBatch& batch) {
    labels += static_cast<double>(batch.labelled.count());
    samples += static_cast<double>(batch.samples());
    ++micro_batches;
  }
};

/// Sums over micro-batches: first this rank's, then, after the exchange, those of all.
struct TrainStep::Pass {
  Counts counted;
  double loss = 0, penalty = 0;  ///< weighted
  double tokens = 0, dropped = 0;
  double not_finite = 0;  ///< of the dropped ones, those found in this pass
  std::vector<double> micro_losses, tallies;
  double communication_seconds = 0;

  std::vector<double*> summed() {
    std::vector<double*> all{&counted.labels, &counted.samples, &counted.micro_batches, &loss, &penalty, &tokens,
                             &dropped,        &not_finite};
    for (double& tally : tallies) all.push_back(&tally);
    return all;
  }
};

/// What a micro-batch's forward gave, on the device until the end of the step.
struct TrainStep::MicroValue {
  std::size_t index = 0;
  at::Tensor total, loss_sum, penalty_sum;  ///< scalars; the last undefined without a penalty
};

namespace {

void all_reduce(ProcessGroup& ranks, const std::vector<double*>& values) {
  const at::Tensor sums = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  auto* sum = sums.mutable_data_ptr<double>();
  for (std::size_t i = 0; i < values.size(); ++i) sum[i] = *values[i];
  ranks.all_reduce(sums);
  for (std::size_t i = 0; i < values.size(); ++i) *values[i] = sum[i];
}

}  // namespace

TrainStep::TrainStep(const Objective& objective, AdamW& optimizer, const OptimizerConfig& config,
                     const PenaltyConfig& penalty)
    : objective_(objective), optimizer_(optimizer), config_(config), penalty_(penalty) {}

TrainStep::Counts TrainStep::plan(const std::vector<ModelBatch>& micro_batches, const std::vector<bool>& usable) const {
  Counts planned;
  for (std::size_t i = 0; i < micro_batches.size(); ++i) {
    if (usable[i]) planned.add(micro_batches[i]);
  }
  all_reduce(optimizer_.ranks(), {&planned.labels, &planned.samples, &planned.micro_batches});
  return planned;
}

/// Without a penalty the denominator is the same for all terms, and divides their sum at the end.
TrainStep::Weights TrainStep::weights_of(const ModelBatch& batch, const Counts& planned) const {
  const bool by_token = config_.loss_average == LossAverage::tokens;
  Weights weights;
  if (!by_token) weights.loss = 1.0 / static_cast<double>(batch.labelled.count());
  if (!penalised()) return weights;
  weights.loss /= by_token ? planned.labels : planned.micro_batches;
  weights.penalty =
      penalty_.weight / (penalty_.form == RegularizerForm::mean ? planned.samples : planned.micro_batches);
  return weights;
}

TrainStep::Pass TrainStep::run_pass(const std::vector<ModelBatch>& micro_batches, std::vector<bool>& usable,
                                    const std::function<std::vector<double>()>& tallies) {
  Pass pass;
  pass.micro_losses.assign(micro_batches.size(), std::numeric_limits<double>::quiet_NaN());
  const Counts planned = penalised() ? plan(micro_batches, usable) : Counts{};
  std::vector<MicroValue> values;
  const auto last = std::find(usable.rbegin(), usable.rend(), true);
  optimizer_.zero_gradients();
  for (std::size_t i = 0; i < micro_batches.size(); ++i) {
    const ModelBatch& batch = micro_batches[i];
    pass.tokens += static_cast<double>(batch.tokens());
    if (!usable[i]) {
      ++pass.dropped;
      continue;
    }
    const Weights weights = weights_of(batch, planned);
    const ObjectiveValue value = objective_.forward(batch);
    at::Tensor total = value.loss_sum * weights.loss;
    if (penalised()) total = total + value.penalty_sum * weights.penalty;
    if (!by_step() && !std::isfinite(total.item<double>())) {
      usable[i] = false;
      ++pass.dropped;
      ++pass.not_finite;
      continue;
    }
    if (static_cast<std::ptrdiff_t>(i) + 1 == usable.rend() - last) optimizer_.begin_last_backward();
    total.backward();
    values.push_back(
        {i, total.detach(), value.loss_sum.detach(), penalised() ? value.penalty_sum.detach() : at::Tensor()});
  }
  read_values(pass, values, micro_batches, planned);
  if (tallies) pass.tallies = tallies();
  exchange(pass);
  return pass;
}

/// One transfer from the device for all micro-batches.
void TrainStep::read_values(Pass& pass, const std::vector<MicroValue>& values,
                            const std::vector<ModelBatch>& micro_batches, const Counts& planned) const {
  if (values.empty()) return;
  std::vector<at::Tensor> scalars;
  for (const MicroValue& value : values) {
    for (const at::Tensor& scalar : {value.total, value.loss_sum, value.penalty_sum}) {
      scalars.push_back(scalar.defined() ? scalar.to(at::kDouble)
                                         : at::zeros({}, value.total.options().dtype(at::kDouble)));
    }
  }
  const at::Tensor read = at::stack(scalars).to(at::kCPU);
  const auto* number = read.const_data_ptr<double>();
  for (std::size_t i = 0; i < values.size(); ++i, number += 3) {
    const ModelBatch& batch = micro_batches[values[i].index];
    if (!std::isfinite(number[0])) {
      ++pass.dropped;
      ++pass.not_finite;
      continue;
    }
    const Weights weights = weights_of(batch, planned);
    pass.counted.add(batch);
    pass.micro_losses[values[i].index] = number[1] / static_cast<double>(batch.labelled.count());
    pass.loss += number[1] * weights.loss;
    if (penalised()) pass.penalty += number[2] * weights.penalty;
  }
}

void TrainStep::exchange(Pass& pass) {
  const Timer timer;
  optimizer_.reduce_gradients();
  all_reduce(optimizer_.ranks(), pass.summed());
  pass.communication_seconds = timer.seconds();
}

StepResult TrainStep::run(const std::vector<ModelBatch>& micro_batches, double learning_rate,
                          const std::function<std::vector<double>()>& tallies) {
  std::vector<bool> usable;
  for (const ModelBatch& batch : micro_batches) usable.push_back(batch.labelled.count() > 0);
  Pass pass = run_pass(micro_batches, usable, tallies);
  while (penalised() && !by_step() && pass.not_finite > 0) {
    const double waited = pass.communication_seconds;
    pass = run_pass(micro_batches, usable, tallies);
    pass.communication_seconds += waited;
  }
  StepResult result;
  result.micro_losses = std::move(pass.micro_losses);
  result.tallies = std::move(pass.tallies);
  result.labels = static_cast<std::int64_t>(pass.counted.labels);
  result.tokens = static_cast<std::int64_t>(pass.tokens);
  result.dropped = static_cast<std::int64_t>(pass.dropped);
  result.communication_seconds = pass.communication_seconds;
  result.skipped = pass.counted.micro_batches == 0 || (by_step() && pass.not_finite > 0);
  if (result.skipped) {
    result.loss = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  const bool by_token = config_.loss_average == LossAverage::tokens;
  const double scale = penalised() ? 1.0 : 1.0 / (by_token ? pass.counted.labels : pass.counted.micro_batches);
  result.loss = pass.loss * scale;
  result.penalty = pass.penalty;
  result.norms = optimizer_.step(learning_rate, scale);
  result.communication_seconds += optimizer_.waited_seconds();
  result.skipped = !result.norms.finite;
  return result;
}

}  // namespace shine
