#pragma once

#include <ATen/ATen.h>

#include <mutex>

#include "data/dataset.h"
#include "decoder/tiny_model.h"
#include "shine/train/objective.h"

namespace shine::test {

/// Conversations of given labels: one row each, all of it labelled but the first token.
inline Sample labelled_row(const std::vector<std::int64_t>& labels) {
  Sample sample;
  sample.context_ids = {1};
  sample.conversation_ids = {0};
  sample.labels = {-100};
  for (const std::int64_t label : labels) {
    sample.conversation_ids.push_back(label < 0 ? 0 : label);
    sample.labels.push_back(label);
  }
  return sample;
}

inline ModelBatch batch_of(const std::vector<std::vector<std::int64_t>>& rows) {
  std::vector<Sample> samples;
  for (const auto& labels : rows) samples.push_back(labelled_row(labels));
  return make_model_batch(samples, at::kCPU);
}

/// Every label t costs (w - t / 10)^2, every row has the penalty w^2. The labels below have another effect. It notes
/// the batches that it was given.
class QuadraticObjective : public Objective {
 public:
  static constexpr std::int64_t kNaNLoss = 77;      ///< its loss is NaN
  static constexpr std::int64_t kNaNGradient = 78;  ///< its loss is finite, the gradient is not
  static constexpr std::int64_t kNaNBatch = 79;     ///< the losses of all its batch are NaN

  explicit QuadraticObjective(double start, bool with_penalty = false)
      : weight_(at::full({1}, start, at::TensorOptions().dtype(at::kDouble)).requires_grad_(true)),
        with_penalty_(with_penalty) {}

  ObjectiveValue forward(const ModelBatch& batch) const override {
    const at::Tensor& targets = batch.labelled.targets;
    const auto has = [&](std::int64_t label) { return targets.eq(label).any().item<bool>(); };
    {
      const std::lock_guard lock(mutex_);  // ranks of a test may share it
      batches_.push_back(batch.samples());
    }
    at::Tensor losses = (weight_ - targets.to(at::kDouble) / 10).square();
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (has(kNaNLoss)) losses = at::where(targets.eq(kNaNLoss), weight_ * nan, losses);
    if (has(kNaNBatch)) losses = losses * nan;
    if (has(kNaNGradient)) losses = losses + (weight_ - weight_.detach()).sqrt();
    ObjectiveValue value{losses, {}};
    if (with_penalty_) value.penalties = weight_.square().expand({batch.samples()});
    return value;
  }

  std::vector<TrainedParameter> trained() const override {
    return {{"w", weight_, ParameterGroup::backbone, Decay::never}};
  }
  double weight() const { return weight_.item<double>(); }
  double gradient() const { return weight_.grad().item<double>(); }
  /// Samples of each batch so far.
  const std::vector<std::int64_t>& batches() const { return batches_; }

 private:
  at::Tensor weight_;
  bool with_penalty_;
  mutable std::mutex mutex_;
  mutable std::vector<std::int64_t> batches_;
};

}  // namespace shine::test
