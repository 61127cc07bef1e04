#pragma once

#include <memory>
#include <string>

#include "bench_size.h"
#include "shine/config/optimizer_config.h"
#include "shine/models/shine/hypernetwork.h"

namespace shine::bench {

inline constexpr double kLearningRate = 5e-5;

struct SubjectOptions {
  std::string dtype = "float32";  ///< or "bfloat16", of the frozen weights
  at::Device device = at::kCPU;
  bool recompute = false;
  std::uint64_t seed = 1;
};

/// A model of random weights; the objective may be the trainer's or a timed one.
struct StepSubject {
  StepSubject(const BenchSize& bench_size, const SubjectOptions& options)
      : size(bench_size),
        device(options.device),
        decoder(size.decoder, {.dtype = options.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
                               .device = device,
                               .attention = device.is_cpu() ? AttentionLayout::per_row : AttentionLayout::padded,
                               .recompute = options.recompute}) {
    initialise_decoder(decoder, /*gain=*/0.7, options.seed);
    hypernetwork = std::make_unique<Hypernetwork>(
        decoder, HypernetworkOptions{.config = size.hypernetwork, .recompute = options.recompute});
    hypernetwork->initialise(options.seed);
    size.hypernetwork.m2p = resolve_m2p_config(size.hypernetwork.m2p, hypernetwork->shape());
    config.batch_size = size.batch;
    config.accumulation = size.accumulation;
  }

  BenchSize size;
  at::Device device;
  Decoder decoder;
  std::unique_ptr<Hypernetwork> hypernetwork;
  OptimizerConfig config;
};

}  // namespace shine::bench
