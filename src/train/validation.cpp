#include "shine/train/validation.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace shine {

std::optional<ValidationResult> validate(const ValidationSet& set, const ValidationOptions& options) {
  const at::NoGradGuard no_grad;
  ValidationResult result{set.name};
  const std::size_t total = std::min(set.dataset->size(), static_cast<std::size_t>(options.max_samples));
  double loss_sum = 0.0;
  for (std::size_t start = 0; start < total; start += static_cast<std::size_t>(options.batch_size)) {
    if (options.stop && options.stop()) return std::nullopt;
    std::vector<Sample> samples;
    const std::size_t end = std::min(total, start + static_cast<std::size_t>(options.batch_size));
    for (std::size_t i = start; i < end; ++i) samples.push_back(set.dataset->sample(/*epoch=*/0, i));
    const ModelBatch batch = make_model_batch(samples, options.device, set.objective->softmax_size());
    result.samples += batch.samples();
    if (batch.labelled.count() == 0) continue;
    loss_sum += set.objective->forward(batch).loss_sum.item<double>();
    result.labels += batch.labelled.count();
  }
  result.loss = loss_sum / static_cast<double>(result.labels);  // NaN without labels
  return result;
}

}  // namespace shine
