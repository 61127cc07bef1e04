#include "app/config/trained_sizes.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// A checkpoint as far as its configuration goes, in `run`, and files that start from it.
class TrainedSizesTest : public testing::Test {
 protected:
  TrainedSizesTest() {
    write("run/trained.safetensors", "");
    write("run/state.json", "");
    write("base.yaml",
          "model: {path: m}\ndata: {train: [a.jsonl]}\n"
          "hypernetwork: {lora_rank: 4, generated_scale: 0.05, m2p: {heads: 3}}\n");
    train(
        "hypernetwork: {lora_rank: 6, meta_lora_rank: 16, generated_scale: 0.1, meta_lora_scale: 0.3, "
        "dtype: float32, m2p: {heads: 2, mean_pool_size: 5}}\n");
  }

  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(file(name)).parent_path());
    std::ofstream(file(name)) << text;
  }
  void train(const std::string& settings) const {
    write("run/config.yaml", "model: {path: m}\ndata: {train: [a.jsonl]}\n" + settings);
  }

  ExperimentConfig load(const std::string& own, const std::vector<std::string>& overrides = {},
                        ConfigUse use = ConfigUse::train) {
    write("next.yaml", "base: base.yaml\nstage: {name: ift_mqa, init_from: " + file("run") + "}\n" +
                           "evaluation: {data: [q.jsonl], checkpoint: " + file("run") + "}\n" + own);
    ConfigOrigins origins;
    ExperimentConfig config = load_experiment_config(file("next.yaml"), overrides, &origins, use);
    sizes_ = take_trained_sizes(config, origins, use);
    return config;
  }

  TemporaryFolder folder_;
  TrainedSizes sizes_;
};

TEST_F(TrainedSizesTest, ThoseOfTheWeightsReachTheNextStageAndTests) {
  for (const ConfigUse use : {ConfigUse::train, ConfigUse::test}) {
    const HypernetworkConfig network = load("run: {seed: 3}\n", {}, use).hypernetwork;
    EXPECT_EQ(network.lora_rank, 6);
    EXPECT_EQ(network.meta_lora_rank, 16);
    EXPECT_EQ(network.generated_scale, 0.1);
    EXPECT_EQ(network.m2p.heads, 2);
    EXPECT_EQ(network.m2p.mean_pool_size, 5);
    EXPECT_EQ(network.meta_lora_scale, HypernetworkConfig{}.meta_lora_scale) << "of first values";
    EXPECT_EQ(network.dtype, HypernetworkConfig{}.dtype) << "of the run";
    EXPECT_EQ(sizes_.source, file("run"));
    EXPECT_EQ(sizes_.taken, (std::vector<std::string>{"hypernetwork.lora_rank=6", "hypernetwork.meta_lora_rank=16",
                                                      "hypernetwork.generated_scale=0.1", "hypernetwork.m2p.heads=2",
                                                      "hypernetwork.m2p.mean_pool_size=5"}));
    EXPECT_EQ(sizes_.differing, std::vector<std::string>{});
  }
}

TEST_F(TrainedSizesTest, AnOverrideIsKeptAndSoIsAScaleOfTheFileItself) {
  const HypernetworkConfig network =
      load("hypernetwork: {lora_rank: 9, generated_scale: 0.2}\n", {"hypernetwork.m2p.heads=1"}).hypernetwork;
  EXPECT_EQ(network.lora_rank, 6) << "no other fits the weights";
  EXPECT_EQ(network.generated_scale, 0.2);
  EXPECT_EQ(network.m2p.heads, 1);
  EXPECT_EQ(sizes_.differing,
            (std::vector<std::string>{"hypernetwork.generated_scale=0.1", "hypernetwork.m2p.heads=2"}));
  testing::internal::CaptureStderr();
  log_trained_sizes(sizes_);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("info hypernetwork.lora_rank=6, hypernetwork.meta_lora_rank=16, hypernetwork.m2p.mean_pool_size=5"
                      ": as in " +
                      file("run")),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("were trained with hypernetwork.generated_scale=0.1, hypernetwork.m2p.heads=2, not with the "
                      "values given here"),
            std::string::npos)
      << text;
}

TEST_F(TrainedSizesTest, WhatMustBeCopiedIsNamed) {
  ExperimentConfig config = load("", {"hypernetwork.lora_rank=9"});
  EXPECT_EQ(sizes_to_copy(config, ConfigUse::train, file("run")),
            " (the weights were trained with hypernetwork.lora_rank=6: copy that, or leave these keys out)");
  config.hypernetwork.lora_rank = 6;
  EXPECT_EQ(sizes_to_copy(config, ConfigUse::train, file("run")), "");
}

TEST_F(TrainedSizesTest, ASecondMetaLoraAddsToTheRankOfAStageButNotOfATest) {
  train("stage: {name: ift_mqa, from_scratch: true, extra_meta_lora_rank: 4}\nhypernetwork: {meta_lora_rank: 16}\n");
  EXPECT_EQ(load("").hypernetwork.meta_lora_rank, 20);
  EXPECT_EQ(load("", {}, ConfigUse::test).hypernetwork.meta_lora_rank, 16);
}

TEST_F(TrainedSizesTest, WithoutAConfigurationBesideTheWeightsNothingIsTaken) {
  fs::remove(file("run/config.yaml"));
  EXPECT_EQ(load("").hypernetwork.lora_rank, 4);
  EXPECT_EQ(sizes_.source, "");
  write("run/config.yaml", "# a published checkpoint\n");
  EXPECT_EQ(load("").hypernetwork.lora_rank, 4);
  fs::remove_all(file("run"));
  EXPECT_EQ(load("").hypernetwork.lora_rank, 4);
}

}  // namespace
}  // namespace shine::test
