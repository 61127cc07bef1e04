#include "stage_diagnostics.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "shine/lora/lora_statistics.h"

namespace shine {
namespace {

using Contexts = std::vector<std::vector<std::int64_t>>;

Contexts different_contexts(const Dataset& dataset, std::size_t max_samples) {
  Contexts contexts;
  const std::size_t samples = std::min(dataset.size(), max_samples);
  for (std::size_t i = 0; i < samples && contexts.size() < max_diagnosed_contexts; ++i) {
    std::vector<std::int64_t> ids = dataset.sample(/*epoch=*/0, i).context_ids;
    const bool known = std::find(contexts.begin(), contexts.end(), ids) != contexts.end();
    if (!ids.empty() && !known) contexts.push_back(std::move(ids));
  }
  return contexts;
}

}  // namespace

std::optional<at::Tensor> generate_vectors(const Hypernetwork& hypernetwork, const Contexts& contexts,
                                           std::int64_t batch_size, const std::function<bool()>& stop) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> vectors;
  const auto batch = static_cast<std::size_t>(batch_size);
  for (std::size_t start = 0; start < contexts.size(); start += batch) {
    if (stop && stop()) return std::nullopt;
    const auto first = contexts.begin() + static_cast<std::ptrdiff_t>(start);
    const auto last = contexts.begin() + static_cast<std::ptrdiff_t>(std::min(contexts.size(), start + batch));
    const TokenRows rows = TokenRows::pack({first, last}, hypernetwork.decoder().options().device);
    vectors.push_back(
        hypernetwork.generate_vector(hypernetwork.extract_memory(rows)).to(at::kCPU, at::kFloat));  // (B, L * M * H)
  }
  return at::cat(vectors);
}

std::function<std::optional<LoraDiagnostics>(const std::function<bool()>&)> stage_diagnostics(
    const Experiment& experiment, const std::vector<ValidationSet>& validation) {
  const ExperimentConfig& config = experiment.config;
  if (!config.evaluation.diagnostics || validation.empty()) return {};
  Contexts contexts =
      different_contexts(*validation.front().dataset, static_cast<std::size_t>(config.evaluation.max_samples));
  if (contexts.size() < 2) return {};
  const Hypernetwork* hypernetwork = experiment.hypernetwork.get();
  return [hypernetwork, contexts = std::move(contexts), weight_norms = experiment.decoder->projection_norms(),
          batch_size = config.optimizer.batch_size](const auto& stop) -> std::optional<LoraDiagnostics> {
    const at::NoGradGuard no_grad;
    const auto vectors = generate_vectors(*hypernetwork, contexts, batch_size, stop);
    if (!vectors) return std::nullopt;
    return diagnose_loras(hypernetwork->slice(*vectors), hypernetwork->used_values(*vectors), weight_norms);
  };
}

}  // namespace shine
