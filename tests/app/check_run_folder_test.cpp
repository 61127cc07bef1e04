// What may change between two parts of a run.
#include <gtest/gtest.h>

#include <functional>

#include "checkpoint/checkpoint_store.h"
#include "config/config_io.h"
#include "shine/app/builders.h"
#include "shine/common/error.h"
#include "support/faults.h"
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
  return fault_of<ConfigError>([&] { check_run_folder(config); });
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

/// Gives the key another value, of whatever kind it is.
void change(const Field& field) {
  if (const auto* flag = std::get_if<bool*>(&field.member)) {
    **flag = !**flag;
  } else if (const auto* integer = std::get_if<std::int64_t*>(&field.member)) {
    ++**integer;
  } else if (const auto* number = std::get_if<double*>(&field.member)) {
    **number += 0.125;
  } else if (const auto* text = std::get_if<std::string*>(&field.member)) {
    **text += "x";
  } else if (const auto* texts = std::get_if<std::vector<std::string>*>(&field.member)) {
    (*texts)->emplace_back("x");
  } else if (const auto* numbers = std::get_if<std::vector<double>*>(&field.member)) {
    (*numbers)->push_back(0.125);
  } else {
    const auto& member = std::get<EnumMember>(field.member);
    member.set(member.member, (member.get(member.member) + 1) % member.names.size());
  }
}

TEST(CheckRunFolder, EveryKeyIsComparedUnlessItsDeclarationSaysWhyNot) {
  const TemporaryFolder folder;
  const ExperimentConfig saved = config_of(folder);
  CheckpointContents contents;
  contents.progress.step = 5;
  contents.config_yaml = experiment_yaml(saved);
  CheckpointStore(folder.path()).save(contents);
  ExperimentConfig config = saved;
  const FieldList list = fields_of(config);
  for (const Field& field : list.fields) {
    const KeyTraits& traits = field.traits;
    for (const bool deterministic : {false, true}) {
      config = saved;
      config.run.deterministic = deterministic;
      change(field);
      const bool compared = traits.read_by != ReadBy::tests && traits.resume != ResumeRule::accept &&
                            (traits.resume == ResumeRule::refuse || config.run.deterministic);
      const std::string message = refusal(config);
      EXPECT_EQ(message.find(field.path + ": ") != std::string::npos, compared) << field.path << ": " << message;
    }
  }
}

TEST(CheckRunFolder, ACheckpointOfAnEarlierVersionIsCompared) {
  const TemporaryFolder folder;
  ExperimentConfig config = config_of(folder);
  config.hypernetwork.reshape = LoraReshape::rr;
  CheckpointContents contents;
  contents.progress.step = 5;
  contents.config_yaml = experiment_yaml(config);
  const std::string today = "  reshape: rr\n", former = "  method: rr\n";
  contents.config_yaml.replace(contents.config_yaml.find(today), today.size(), former);
  const std::string group = "validation:\n  every_steps";
  contents.config_yaml.replace(contents.config_yaml.find(group), group.size(), "evaluation:\n  every_steps");
  const std::size_t next = contents.config_yaml.find("evaluation:\n  checkpoint");
  contents.config_yaml.erase(next, contents.config_yaml.find('\n', next) + 1 - next);
  CheckpointStore(folder.path()).save(contents);
  EXPECT_EQ(refusal(config), "") << contents.config_yaml;
  config.hypernetwork.reshape = LoraReshape::rl;
  EXPECT_NE(refusal(config).find("hypernetwork.reshape: rr -> rl"), std::string::npos) << refusal(config);
}

}  // namespace
}  // namespace shine::test
