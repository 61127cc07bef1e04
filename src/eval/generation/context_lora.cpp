#include "shine/eval/context_lora.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "optim/lr_schedule.h"
#include "shine/common/error.h"
#include "shine/optim/adamw.h"

namespace shine {
namespace {

/// A conversation on the device, with what is trained in it.
struct DeviceConversation {
  TokenRows rows;
  LabelledTokens labelled;
};

DeviceConversation to_device(const Decoder& decoder, const RenderedConversation& conversation) {
  const at::Device device = decoder.device();
  return {TokenRows::pack({conversation.ids}, device),
          LabelledTokens::of({conversation.labels}, device, decoder.softmax_size())};
}

/// Cross-entropy of every labelled token, (n).
at::Tensor token_losses(const Decoder& decoder, const LoraTree* lora, const DeviceConversation& conversation) {
  return decoder.losses(decoder.forward(conversation.rows, lora), conversation.labelled);
}

/// The LoRA's tensors as leaves on the device, in one group.
ParamGroup make_leaves(LoraTree& tree, at::Device device, double weight_decay) {
  ParamGroup group{"lora", weight_decay, {}, {}};
  for_each_tensor(tree, [&](const std::string& name, at::Tensor& tensor) {
    tensor = tensor.to(device).requires_grad_(true);
    group.names.push_back(name);
    group.tensors.push_back(tensor);
  });
  return group;
}

}  // namespace

std::optional<TrainedLora> train_context_lora(const Decoder& decoder,
                                              const std::vector<RenderedConversation>& conversations,
                                              const SftConfig& config, std::uint64_t seed,
                                              const std::function<bool()>& stop) {
  const at::AutoGradMode with_grad(true);
  std::vector<DeviceConversation> batches;
  for (const RenderedConversation& conversation : conversations) {
    DeviceConversation batch = to_device(decoder, conversation);
    if (batch.labelled.count() > 0) batches.push_back(std::move(batch));
  }
  SHINE_CHECK(!batches.empty(), ConfigError, "no conversation for SFT has an answer to train on");

  at::Generator generator = at::detail::createCPUGenerator(seed);
  TrainedLora result;
  result.tree = make_meta_lora(decoder.config().lora_spec(), config.rank, config.init_scale, generator);
  OptimizerConfig optimizer_config;
  optimizer_config.weight_decay = config.weight_decay;
  optimizer_config.clip = ClipKind::none;
  AdamW optimizer({make_leaves(result.tree, decoder.device(), config.weight_decay)}, optimizer_config);
  ScheduleConfig schedule;
  schedule.warmup_steps = 0;
  const std::int64_t steps = config.epochs * static_cast<std::int64_t>(batches.size());
  for (std::int64_t step = 0; step < steps; ++step) {
    if (stop && stop()) return std::nullopt;
    optimizer.zero_gradients();
    const at::Tensor loss =
        token_losses(decoder, &result.tree, batches[static_cast<std::size_t>(step) % batches.size()]).mean();
    loss.backward();
    result.losses.push_back(loss.item<double>());
    optimizer.step(learning_rate_at(schedule, config.learning_rate, step, steps));
  }
  for_each_tensor(result.tree, [](const std::string&, at::Tensor& tensor) { tensor = tensor.detach(); });
  return result;
}

double mean_loss(const Decoder& decoder, const LoraTree* lora, const std::vector<RenderedConversation>& conversations) {
  const at::NoGradGuard no_grad;
  double sum = 0.0;
  std::int64_t count = 0;
  for (const RenderedConversation& conversation : conversations) {
    const DeviceConversation batch = to_device(decoder, conversation);
    if (batch.labelled.count() == 0) continue;
    sum += token_losses(decoder, lora, batch).sum().item<double>();
    count += batch.labelled.count();
  }
  return sum / static_cast<double>(count);
}

LoraTree join_adapters(const std::vector<LoraTree>& trees) {
  LoraTree joined = trees.front();
  for (std::size_t layer = 0; layer < joined.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      LoraWeights& weights = joined.layers[layer][p];
      for (at::Tensor LoraWeights::*part : {&LoraWeights::a, &LoraWeights::b, &LoraWeights::c}) {
        if (!(weights.*part).defined()) continue;
        std::vector<at::Tensor> parts;
        for (const LoraTree& tree : trees) parts.push_back(tree.layers[layer][p].*part);
        weights.*part = at::cat(parts);
      }
    }
  }
  return joined;
}

}  // namespace shine
