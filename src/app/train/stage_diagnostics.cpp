#include "app/train/stage_diagnostics.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "lora/lora_statistics.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"

namespace shine {
namespace {

using Contexts = std::vector<std::vector<std::int64_t>>;

Contexts different_contexts(const Dataset& dataset, std::size_t max_samples) {
  Contexts contexts;
  const std::size_t samples = std::min(dataset.size(), max_samples);
  for (std::size_t i = 0; i < samples && contexts.size() < kMaxDiagnosedContexts; ++i) {
    std::vector<std::int64_t> ids = dataset.sample(/*epoch=*/0, i).context_ids;
    const bool known = std::find(contexts.begin(), contexts.end(), ids) != contexts.end();
    if (!ids.empty() && !known) contexts.push_back(std::move(ids));
  }
  return contexts;
}

}  // namespace

std::optional<at::Tensor> generate_vectors(const Hypernetwork& hypernetwork, const Contexts& contexts,
                                           std::int64_t batch_size, ProcessGroup& group,
                                           const std::function<bool()>& stop) {
  const at::NoGradGuard no_grad;
  const M2pShape& shape = hypernetwork.shape();
  const at::Tensor vectors = at::empty(
      {static_cast<std::int64_t>(contexts.size()), shape.spec.layers * shape.memory_tokens * shape.hidden_size},
      at::kFloat);
  const std::vector<at::Tensor> batches = vectors.split(batch_size);
  const auto ranks = static_cast<std::size_t>(group.size());
  const at::Tensor stopped = at::zeros({1}, at::kLong);
  for (auto b = static_cast<std::size_t>(group.rank()); b < batches.size(); b += ranks) {
    if (stop && stop()) {
      stopped.fill_(1);
      break;
    }
    const auto first = contexts.begin() + static_cast<std::ptrdiff_t>(b) * batch_size;
    const TokenRows rows = TokenRows::pack({first, first + batches[b].size(0)}, hypernetwork.decoder().device());
    batches[b].copy_(hypernetwork.generate_vector(hypernetwork.extract_memory(rows)));
  }
  group.all_reduce(stopped);
  if (stopped.item<std::int64_t>() > 0) return std::nullopt;
  for (std::size_t b = 0; b < batches.size(); ++b) group.broadcast(batches[b], static_cast<int>(b % ranks));
  return vectors;
}

std::function<std::optional<LoraDiagnostics>(ProcessGroup&, const std::function<bool()>&)> stage_diagnostics(
    const Experiment& experiment, const std::vector<ValidationSet>& validation) {
  const ExperimentConfig& config = experiment.config;
  if (!config.validation.diagnostics || validation.empty()) return {};
  Contexts contexts =
      different_contexts(*validation.front().dataset, static_cast<std::size_t>(config.validation.max_samples));
  if (contexts.size() < 2) {
    const std::size_t samples = validation.front().dataset->size();
    if (samples > 1) {  // else it has been said
      log_warning(str("the first ", std::min(samples, static_cast<std::size_t>(config.validation.max_samples)),
                      " validation samples have one context between them: generated LoRAs are not compared (raise "
                      "validation.max_samples, or hold out more contexts)"));
    }
    return {};
  }
  const Hypernetwork* hypernetwork = experiment.hypernetwork.get();
  return [hypernetwork, contexts = std::move(contexts), weight_norms = projection_norms(*experiment.decoder),
          batch_size = config.optimizer.batch_size](ProcessGroup& group,
                                                    const auto& stop) -> std::optional<LoraDiagnostics> {
    const at::NoGradGuard no_grad;
    const auto vectors = generate_vectors(*hypernetwork, contexts, batch_size, group, stop);
    if (!vectors) return std::nullopt;
    return diagnose_loras(hypernetwork->slice(*vectors), hypernetwork->used_values(*vectors), weight_norms);
  };
}

}  // namespace shine
