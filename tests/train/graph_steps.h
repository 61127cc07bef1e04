#pragma once

#include <memory>
#include <vector>

#include "decoder/tiny_model.h"
#include "shine/train/train_step.h"
#include "train/tiny_trainer.h"

namespace shine::test {

/// What a few training steps leave.
struct GraphSteps {
  std::vector<double> losses;
  std::vector<NamedTensor> trained;
};

/// Steps of two micro-batches of two samples, and of a last one alone, with an evaluation between them.
inline GraphSteps take_graph_steps(CudaGraph graph, at::Device device, at::ScalarType dtype) {
  DecoderOptions decoder_options;
  decoder_options.dtype = dtype;
  decoder_options.device = device;
  decoder_options.attention = device.is_cpu() ? AttentionLayout::per_row : AttentionLayout::padded;
  Decoder decoder(tiny_config(), decoder_options);
  initialise_decoder(decoder, /*gain=*/1.0, /*seed=*/1);
  HypernetworkOptions options = tiny_options();
  options.config.cuda_graph = graph;
  Hypernetwork hypernetwork(decoder, options);
  hypernetwork.initialise(/*seed=*/1);
  const ShineObjective objective(hypernetwork, /*with_penalty=*/true);
  OptimizerConfig settings;
  AdamW optimizer(make_param_groups(objective.trained(), settings), settings);
  TrainStep step(objective, optimizer, settings, {0.01, RegularizerForm::mean});
  const TinyDataset data(20);
  const auto batch = [&](std::size_t first, std::size_t count) {
    std::vector<Sample> samples;
    for (std::size_t i = 0; i < count; ++i) samples.push_back(data.sample(0, first + i));
    return make_model_batch(samples, device);
  };
  GraphSteps taken;
  for (std::size_t i = 0; i < 4; ++i) {
    taken.losses.push_back(step.run({batch(4 * i, 2), batch(4 * i + 2, 2)}, 1e-2).loss);
    const at::NoGradGuard no_grad;
    taken.losses.push_back(objective.forward(batch(4 * i, 2)).losses.sum().item<double>());
  }
  taken.losses.push_back(step.run({batch(16, 2), batch(18, 1)}, 1e-2).loss);
  for (const TrainedParameter& named : hypernetwork.trained()) {
    taken.trained.push_back({named.name, named.tensor.detach().to(at::kCPU)});
  }
  return taken;
}

}  // namespace shine::test
