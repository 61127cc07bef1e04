#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "shine/config/hypernetwork_config.h"
#include "shine/config/optimizer_config.h"
#include "shine/io/safetensors.h"
#include "shine/train/model_batch.h"

namespace shine {

/// The `training` and `steps` of a fixture.json.
struct FixtureTraining {
  struct Step {
    std::vector<double> losses, group_norms;
    double learning_rate = 0.0;
  };
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  std::int64_t total_steps = 0;
  bool train_memory_embeddings = true;
  std::vector<Step> steps;
};

/// A parity fixture's options and files.
struct ParityFixture {
  std::filesystem::path folder;
  HypernetworkConfig hypernetwork;
  std::int64_t extra_meta_lora_rank = 0;
  double adapter_reg = 0.0;
  bool has_checkpoint = false;
  std::optional<FixtureTraining> training;
  SafetensorsFile inputs, expected;

  /// Micro-batch k: padding removed, labels aligned. Contexts are absent in a backbone-only fixture.
  ModelBatch batch(std::int64_t k, at::Device device) const;

  at::Tensor input(const std::string& name) const;
};

ParityFixture read_parity_fixture(const std::filesystem::path& folder);

}  // namespace shine
