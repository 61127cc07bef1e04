#include "shine/train/train_step.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace shine {
namespace {

/// What each of several terms counts once only `counted` of `planned` took part.
double renormalise(std::int64_t planned, std::int64_t counted) {
  return static_cast<double>(planned) / static_cast<double>(counted);
}

}  // namespace

/// Denominators of a step's averages.
struct TrainStep::Totals {
  std::int64_t labels = 0, samples = 0, micro_batches = 0;

  void add(const ModelBatch& batch) {
    if (batch.labelled.count() == 0) return;
    labels += batch.labelled.count();
    samples += batch.samples();
    ++micro_batches;
  }
};

TrainStep::TrainStep(const Objective& objective, AdamW& optimizer, const OptimizerConfig& config,
                     const PenaltyConfig& penalty)
    : objective_(objective), optimizer_(optimizer), config_(config), penalty_(penalty) {}

TrainStep::Weights TrainStep::weights_of(const ModelBatch& batch, const Totals& planned) const {
  const bool by_token = config_.loss_average == LossAverage::tokens;
  Weights weights;
  weights.loss = by_token ? 1.0 / static_cast<double>(planned.labels)
                          : 1.0 / static_cast<double>(batch.labelled.count() * planned.micro_batches);
  const std::int64_t penalised = penalty_.form == RegularizerForm::mean ? planned.samples : planned.micro_batches;
  weights.penalty = penalty_.weight / static_cast<double>(penalised);
  return weights;
}

StepResult TrainStep::run_without(std::vector<ModelBatch> micro_batches, std::size_t index, double learning_rate) {
  const auto place = static_cast<std::ptrdiff_t>(index);
  const std::int64_t tokens = micro_batches[index].tokens();
  micro_batches.erase(micro_batches.begin() + place);
  StepResult result = run(micro_batches, learning_rate);
  result.micro_losses.insert(result.micro_losses.begin() + place, std::numeric_limits<double>::quiet_NaN());
  result.tokens += tokens;
  ++result.dropped;
  return result;
}

StepResult TrainStep::run(const std::vector<ModelBatch>& micro_batches, double learning_rate) {
  StepResult result;
  Totals planned, counted;
  for (const ModelBatch& batch : micro_batches) planned.add(batch);
  optimizer_.zero_gradients();
  for (std::size_t i = 0; i < micro_batches.size(); ++i) {
    const ModelBatch& batch = micro_batches[i];
    result.tokens += batch.tokens();
    result.micro_losses.push_back(std::numeric_limits<double>::quiet_NaN());
    if (batch.labelled.count() == 0) {
      ++result.dropped;
      continue;
    }
    const Weights weights = weights_of(batch, planned);
    const ObjectiveValue value = objective_.forward(batch);
    at::Tensor total = value.loss_sum * weights.loss;
    if (value.penalty_sum.defined()) total = total + value.penalty_sum * weights.penalty;
    if (!std::isfinite(total.item<double>())) {
      if (value.penalty_sum.defined()) return run_without(micro_batches, i, learning_rate);
      ++result.dropped;
      continue;
    }
    total.backward();
    counted.add(batch);
    const auto loss_sum = value.loss_sum.item<double>();
    result.micro_losses.back() = loss_sum / static_cast<double>(batch.labelled.count());
    result.loss += loss_sum * weights.loss;
    if (value.penalty_sum.defined()) result.penalty += value.penalty_sum.item<double>() * weights.penalty;
  }
  result.labels = counted.labels;
  result.skipped = counted.micro_batches == 0;
  if (result.skipped) {
    result.loss = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  // Dropped micro-batches were part of the plan's denominators: give their share back to the others.
  const double scale = config_.loss_average == LossAverage::tokens
                           ? renormalise(planned.labels, counted.labels)
                           : renormalise(planned.micro_batches, counted.micro_batches);
  result.loss *= scale;
  result.penalty *= scale;
  result.norms = optimizer_.step(learning_rate, scale);
  result.skipped = !result.norms.finite;
  return result;
}

}  // namespace shine
