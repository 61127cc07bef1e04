// What may change between two parts of a run.
#include <gtest/gtest.h>

#include <functional>

#include "shine/app/builders.h"
#include "shine/checkpoint/checkpoint_store.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

ExperimentConfig config_of(const TemporaryFolder& folder) {
  ExperimentConfig config;
  config.run.dir = folder.path().string();
  config.model.path = "/backbone";
  config.text.tokenizer = "/backbone";
  config.data.train = {"/texts.txt"};
  return config;
}

/// What a resume in the folder says to a changed configuration; empty: nothing.
std::string refusal(const ExperimentConfig& config) {
  try {
    check_run_folder(config);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(CheckRunFolder, WhatChangesTheLastBitsIsRefusedOnlyInADeterministicRun) {
  const TemporaryFolder folder;
  const ExperimentConfig saved = config_of(folder);
  CheckpointContents contents;
  contents.progress.step = 5;
  contents.config_yaml = experiment_yaml(saved);
  CheckpointStore(folder.path()).save(contents);
  EXPECT_EQ(refusal(saved), "");

  const std::vector<std::pair<std::string, std::function<void(ExperimentConfig&)>>> inexact{
      {"optimizer.pass_tokens", [](ExperimentConfig& config) { config.optimizer.pass_tokens = 4096; }},
      {"optimizer.shard", [](ExperimentConfig& config) { config.optimizer.shard = true; }},
      {"model.attention", [](ExperimentConfig& config) { config.model.attention = AttentionForm::padded; }},
      {"model.recompute", [](ExperimentConfig& config) { config.model.recompute = true; }},
      {"model.activation_memory", [](ExperimentConfig& config) { config.model.activation_memory = 100; }},
      {"hypernetwork.cuda_graph", [](ExperimentConfig& config) { config.hypernetwork.cuda_graph = CudaGraph::off; }},
      {"ops.tf32", [](ExperimentConfig& config) { config.ops.tf32 = true; }},
      {"ops.fused", [](ExperimentConfig& config) { config.ops.fused = FusedOps::off; }}};
  for (const auto& [key, change] : inexact) {
    ExperimentConfig config = saved;
    change(config);
    EXPECT_EQ(refusal(config), "") << key;
    config.run.deterministic = true;
    EXPECT_NE(refusal(config).find(key + ":"), std::string::npos) << key << ": " << refusal(config);
  }

  ExperimentConfig other = saved;
  other.optimizer.batch_size = 2;
  EXPECT_NE(refusal(other).find("optimizer.batch_size:"), std::string::npos) << refusal(other);
  other = saved;
  other.run.deterministic = true;
  other.run.max_steps = 7;
  EXPECT_EQ(refusal(other), "");
}

}  // namespace
}  // namespace shine::test
