#pragma once

#include <memory>
#include <optional>
#include <string>

#include "bench/bench_size.h"
#include "bench/random_weights.h"
#include "shine/config/optimizer_config.h"
#include "shine/hypernetwork/hypernetwork.h"
#include "shine/tensor/device.h"
#include "tensor/peak_memory.h"

namespace shine::bench {

inline constexpr double kLearningRate = 5e-5;

struct SubjectOptions {
  std::string dtype = "float32";  ///< or "bfloat16", of the frozen weights
  at::Device device = at::kCPU;
  bool recompute = false;
  std::uint64_t seed = 1;
  std::int64_t activation_bytes = 0;  ///< see DecoderOptions
};

/// A model of random weights; the objective may be the trainer's or a timed one.
struct StepSubject {
  StepSubject(const BenchSize& bench_size, const SubjectOptions& options)
      : size(bench_size),
        device(options.device),
        decoder(size.decoder, {.dtype = options.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
                               .device = device,
                               .attention = best_layout(device),
                               .recompute = options.recompute,
                               .activation_bytes = options.activation_bytes}) {
    avoid_cudnn_attention();
    constexpr double gain = 0.7;
    if (size.weights_on_device) {
      draw_on_device(decoder, gain, options.seed);
    } else {
      initialise_decoder(decoder, gain, options.seed);
    }
    hypernetwork = std::make_unique<Hypernetwork>(
        decoder, HypernetworkOptions{.config = size.hypernetwork, .recompute = options.recompute});
    if (size.weights_on_device) {
      draw_on_device(*hypernetwork);
    } else {
      hypernetwork->initialise(options.seed);
    }
    size.hypernetwork.m2p = resolve_m2p_config(size.hypernetwork.m2p, hypernetwork->shape());
    config.batch_size = size.batch;
    config.accumulation = size.accumulation;
    memory.emplace(device);
    decoder.prepare();
  }

  BenchSize size;
  at::Device device;
  Decoder decoder;
  std::unique_ptr<Hypernetwork> hypernetwork;
  OptimizerConfig config;
  std::optional<PeakMemory> memory;  ///< from the loaded weights on, before what the decoder prepares of them
};

}  // namespace shine::bench
