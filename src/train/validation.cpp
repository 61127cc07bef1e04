#include "train/validation.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace shine {

namespace {

/// Scores one rank's batches: a row for each batch, loss sum and labels. Nothing if asked to stop.
bool score_share(const ValidationSet& set, const ValidationOptions& options, const ProcessGroup& group,
                 std::size_t total, at::TensorAccessor<double, 2> scores) {
  const at::NoGradGuard no_grad;
  const auto batch_size = static_cast<std::size_t>(options.batch_size);
  for (std::int64_t b = group.rank(); b < scores.size(0); b += group.size()) {
    if (options.stop && options.stop()) return false;
    std::vector<Sample> samples;
    const std::size_t start = static_cast<std::size_t>(b) * batch_size, end = std::min(total, start + batch_size);
    for (std::size_t i = start; i < end; ++i) samples.push_back(set.dataset->sample(/*epoch=*/0, i));
    const ModelBatch batch = make_model_batch(samples, options.device, set.objective->softmax_size());
    if (batch.labelled.count() == 0) continue;
    scores[b][0] = set.objective->forward(batch).losses.sum().item<double>();
    scores[b][1] = static_cast<double>(batch.labelled.count());
  }
  return true;
}

}  // namespace

std::optional<ValidationResult> validate(const ValidationSet& set, const ValidationOptions& options,
                                         ProcessGroup& group) {
  const std::size_t total = std::min(set.dataset->size(), static_cast<std::size_t>(options.max_samples));
  const std::int64_t batches = (static_cast<std::int64_t>(total) + options.batch_size - 1) / options.batch_size;
  // Every rank adds its rows to the zeros of the others, which changes none of their bits; the last row counts the
  // ranks that were asked to stop.
  const at::Tensor all = at::zeros({batches + 1, 2}, at::kDouble);
  auto scores = all.accessor<double, 2>();
  const at::Tensor own = all.narrow(0, 0, batches);
  if (!score_share(set, options, group, total, own.accessor<double, 2>())) scores[batches][0] = 1;
  group.all_reduce(all);
  if (scores[batches][0] > 0) return std::nullopt;
  ValidationResult result{set.name};
  result.samples = static_cast<std::int64_t>(total);
  double loss_sum = 0.0;
  for (std::int64_t b = 0; b < batches; ++b) {
    loss_sum += scores[b][0];
    result.labels += static_cast<std::int64_t>(scores[b][1]);
  }
  result.loss = loss_sum / static_cast<double>(result.labels);  // NaN without labels
  return result;
}

}  // namespace shine
