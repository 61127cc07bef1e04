#include "eval/generation/prepare_loras.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "common/timer.h"
#include "tensor/peak_memory.h"

namespace shine {

PreparedLoras generate_loras(const Hypernetwork& hypernetwork, std::vector<std::vector<std::int64_t>> contexts,
                             std::int64_t longest) {
  const at::NoGradGuard no_grad;
  const at::Device device = hypernetwork.decoder().device();
  PreparedLoras result;
  synchronize(device);
  const Timer timer;
  for (auto& ids : contexts) {
    const auto kept = std::min(ids.size(), static_cast<std::size_t>(longest));
    result.costs.push_back({0.0, static_cast<std::int64_t>(ids.size() - kept)});
    ids.resize(kept);
  }
  result.tree = hypernetwork.generate(TokenRows::pack(contexts, device)).tree;
  synchronize(device);
  for (LoraCost& cost : result.costs) cost.seconds = timer.seconds() / static_cast<double>(contexts.size());
  return result;
}

std::optional<PreparedLoras> train_loras(const Decoder& decoder, const std::vector<SftTask>& tasks,
                                         const SftConfig& config, const std::function<bool()>& stop) {
  const at::Device device = decoder.device();
  PreparedLoras result;
  std::vector<LoraTree> trees;
  for (const SftTask& task : tasks) {
    LoraCost cost;
    cost.conversations_cut = task.conversations_cut;
    cost.loss_before = mean_loss(decoder, /*lora=*/nullptr, task.questions);
    synchronize(device);
    const Timer timer;
    const auto trained = train_context_lora(decoder, task.conversations, config, task.seed, stop);
    if (!trained) return std::nullopt;
    synchronize(device);
    cost.seconds = timer.seconds();
    cost.loss_after = mean_loss(decoder, &trained->tree, task.questions);
    result.costs.push_back(cost);
    trees.push_back(trained->tree);
  }
  result.tree = join_adapters(trees);
  return result;
}

}  // namespace shine
