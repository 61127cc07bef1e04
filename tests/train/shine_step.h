#pragma once

#include <memory>
#include <utility>

#include "shine/train/train_step.h"
#include "train/tiny_objective.h"

namespace shine::test {

inline OptimizerConfig shine_step_config(bool shard = false, std::int64_t pass_tokens = 0) {
  OptimizerConfig config;
  config.epsilon = 1e-2;  // keeps AdamW smooth where a gradient is all rounding
  config.shard = shard;
  config.pass_tokens = pass_tokens;
  return config;
}

/// A tiny SHINE model and its optimizer: gradients come from real backward passes, in buckets of which several are
/// filled by one.
struct ShineStep {
  explicit ShineStep(double penalty, const OptimizerConfig& config = shine_step_config(),
                     std::shared_ptr<ProcessGroup> ranks = single_process())
      : decoder(tiny_decoder()),
        hypernetwork(tiny_hypernetwork(*decoder)),
        objective(*hypernetwork, penalty > 0),
        optimizer(make_param_groups(objective.trained(), config), config, std::move(ranks),
                  /*bucket_values=*/2000),
        step(objective, optimizer, config, {penalty, RegularizerForm::mean}) {}

  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Hypernetwork> hypernetwork;
  ShineObjective objective;
  AdamW optimizer;
  TrainStep step;
};

}  // namespace shine::test
