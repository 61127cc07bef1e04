#include "shine/train/train_step.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/timer.h"

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

/// What a micro-batch's forward gave, on the device until the end of the step.
struct TrainStep::MicroValue {
  std::size_t index = 0;
  at::Tensor total, loss_sum, penalty_sum;  ///< scalars; the last undefined without a penalty
};

/// One attempt at all passes of a step. Sums over micro-batches: first this rank's, after the exchange those of all.
struct TrainStep::Attempt {
  Attempt(const std::vector<ModelBatch>& batches, std::vector<bool>& to_run) : micro_batches(batches), usable(to_run) {
    micro_losses.assign(batches.size(), std::numeric_limits<double>::quiet_NaN());
  }

  const std::vector<ModelBatch>& micro_batches;
  std::vector<bool>& usable;  ///< loses those that are dropped
  Counts planned;             ///< of all ranks, known before the first pass; only with a penalty
  std::vector<MicroValue> values;
  Counts counted;
  double loss = 0, penalty = 0;  ///< weighted
  double tokens = 0, dropped = 0;
  double not_finite = 0;  ///< of the dropped ones, those found in this attempt
  std::vector<double> micro_losses, tallies;
  double communication_seconds = 0;

  std::vector<double*> summed() {
    std::vector<double*> all{&counted.labels, &counted.samples, &counted.micro_batches, &loss, &penalty, &tokens,
                             &dropped,        &not_finite};
    for (double& tally : tallies) all.push_back(&tally);
    return all;
  }
};

namespace {

void all_reduce(ProcessGroup& ranks, const std::vector<double*>& values) {
  const at::Tensor sums = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  auto* sum = sums.mutable_data_ptr<double>();
  for (std::size_t i = 0; i < values.size(); ++i) sum[i] = *values[i];
  ranks.all_reduce(sums);
  for (std::size_t i = 0; i < values.size(); ++i) *values[i] = sum[i];
}

/// The sum of each of the consecutive parts of `values` (n), whose lengths are `sizes`.
std::vector<at::Tensor> part_sums(const at::Tensor& values, const std::vector<std::int64_t>& sizes) {
  if (sizes.size() == 1) return {values.sum()};
  std::vector<at::Tensor> sums;
  for (const at::Tensor& part : values.split_with_sizes(sizes)) sums.push_back(part.sum());
  return sums;
}

}  // namespace

TrainStep::TrainStep(const Objective& objective, AdamW& optimizer, const OptimizerConfig& config,
                     const PenaltyConfig& penalty)
    : objective_(objective), optimizer_(optimizer), config_(config), penalty_(penalty) {}

TrainStep::Counts TrainStep::count_all(const Attempt& attempt) const {
  Counts planned;
  for (std::size_t i = 0; i < attempt.micro_batches.size(); ++i) {
    if (attempt.usable[i]) planned.add(attempt.micro_batches[i]);
  }
  all_reduce(optimizer_.ranks(), {&planned.labels, &planned.samples, &planned.micro_batches});
  return planned;
}

/// Which usable micro-batches share a pass.
std::vector<TrainStep::Indices> TrainStep::plan_passes(const Attempt& attempt) const {
  std::vector<Indices> passes;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < attempt.micro_batches.size(); ++i) {
    if (!attempt.usable[i]) continue;
    const std::int64_t more = attempt.micro_batches[i].tokens();
    const bool joins = !passes.empty() && tokens + more <= config_.pass_tokens;
    if (!joins) passes.emplace_back();
    passes.back().push_back(i);
    tokens = (joins ? tokens : 0) + more;
  }
  return passes;
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

void TrainStep::run_all(Attempt& attempt, const std::function<std::vector<double>()>& tallies) {
  for (const ModelBatch& batch : attempt.micro_batches) attempt.tokens += static_cast<double>(batch.tokens());
  attempt.dropped = static_cast<double>(std::count(attempt.usable.begin(), attempt.usable.end(), false));
  if (penalised()) attempt.planned = count_all(attempt);
  optimizer_.zero_gradients();
  const std::vector<Indices> passes = plan_passes(attempt);
  for (const Indices& members : passes) run_or_drop(attempt, members, /*last=*/&members == &passes.back());
  read_values(attempt);
  if (tallies) attempt.tallies = tallies();
  exchange(attempt);
}

/// @param last  of the passes of this rank
void TrainStep::run_or_drop(Attempt& attempt, const Indices& members, bool last) {
  if (run_pass(attempt, members, last)) return;
  if (members.size() == 1) {
    attempt.usable[members.front()] = false;
    ++attempt.dropped;
    ++attempt.not_finite;
    return;
  }
  for (const std::size_t i : members) run_or_drop(attempt, {i}, last && i == members.back());
}

/// Forward and backward. False, without any effect, if the loss is read and is not finite.
bool TrainStep::run_pass(Attempt& attempt, const Indices& members, bool last) {
  std::vector<ModelBatch> batches;
  std::vector<std::int64_t> labels, samples;
  for (const std::size_t i : members) {
    batches.push_back(attempt.micro_batches[i]);
    labels.push_back(batches.back().labelled.count());
    samples.push_back(batches.back().samples());
  }
  const ObjectiveValue value = objective_.forward(merge_batches(batches));
  const std::vector<at::Tensor> losses = part_sums(value.losses, labels);
  const std::vector<at::Tensor> penalties =
      penalised() ? part_sums(value.penalties, samples) : std::vector<at::Tensor>(members.size());
  at::Tensor total;
  std::vector<MicroValue> values;
  for (std::size_t k = 0; k < members.size(); ++k) {
    const Weights weights = weights_of(batches[k], attempt.planned);
    at::Tensor part = losses[k] * weights.loss;
    if (penalised()) part = part + penalties[k] * weights.penalty;
    total = k == 0 ? part : total + part;
    values.push_back(
        {members[k], part.detach(), losses[k].detach(), penalised() ? penalties[k].detach() : at::Tensor()});
  }
  if (!by_step() && !std::isfinite(total.item<double>())) return false;
  if (last) optimizer_.begin_last_backward();
  total.backward();
  attempt.values.insert(attempt.values.end(), values.begin(), values.end());
  return true;
}

/// One transfer from the device for all micro-batches.
void TrainStep::read_values(Attempt& attempt) const {
  if (attempt.values.empty()) return;
  std::vector<at::Tensor> scalars;
  for (const MicroValue& value : attempt.values) {
    for (const at::Tensor& scalar : {value.total, value.loss_sum, value.penalty_sum}) {
      scalars.push_back(scalar.defined() ? scalar.to(at::kDouble)
                                         : at::zeros({}, value.total.options().dtype(at::kDouble)));
    }
  }
  const at::Tensor read = at::stack(scalars).to(at::kCPU);
  const auto* number = read.const_data_ptr<double>();
  for (const MicroValue& value : attempt.values) {
    const double total = number[0], loss = number[1], penalty = number[2];
    number += 3;
    if (!std::isfinite(total)) {
      ++attempt.dropped;
      ++attempt.not_finite;
      continue;
    }
    const ModelBatch& batch = attempt.micro_batches[value.index];
    const Weights weights = weights_of(batch, attempt.planned);
    attempt.counted.add(batch);
    attempt.micro_losses[value.index] = loss / static_cast<double>(batch.labelled.count());
    attempt.loss += loss * weights.loss;
    if (penalised()) attempt.penalty += penalty * weights.penalty;
  }
}

void TrainStep::exchange(Attempt& attempt) {
  const Timer timer;
  optimizer_.reduce_gradients();
  all_reduce(optimizer_.ranks(), attempt.summed());
  attempt.communication_seconds = timer.seconds();
}

StepResult TrainStep::run(const std::vector<ModelBatch>& micro_batches, double learning_rate,
                          const std::function<std::vector<double>()>& tallies) {
  std::vector<bool> usable;
  for (const ModelBatch& batch : micro_batches) usable.push_back(batch.labelled.count() > 0);
  double waited = 0;
  while (true) {
    Attempt attempt(micro_batches, usable);
    run_all(attempt, tallies);
    attempt.communication_seconds += waited;
    waited = attempt.communication_seconds;
    const bool again = penalised() && !by_step() && attempt.not_finite > 0;
    if (!again) return update(attempt, learning_rate);
  }
}

StepResult TrainStep::update(Attempt& attempt, double learning_rate) {
  StepResult result;
  result.micro_losses = std::move(attempt.micro_losses);
  result.tallies = std::move(attempt.tallies);
  result.labels = static_cast<std::int64_t>(attempt.counted.labels);
  result.tokens = static_cast<std::int64_t>(attempt.tokens);
  result.dropped = static_cast<std::int64_t>(attempt.dropped);
  result.communication_seconds = attempt.communication_seconds;
  result.skipped = attempt.counted.micro_batches == 0 || (by_step() && attempt.not_finite > 0);
  if (result.skipped) {
    result.loss = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  const bool by_token = config_.loss_average == LossAverage::tokens;
  const double scale = penalised() ? 1.0 : 1.0 / (by_token ? attempt.counted.labels : attempt.counted.micro_batches);
  result.loss = attempt.loss * scale;
  result.penalty = attempt.penalty;
  result.norms = optimizer_.step(learning_rate, scale);
  result.communication_seconds += optimizer_.waited_seconds();
  result.skipped = !result.norms.finite;
  return result;
}

}  // namespace shine
