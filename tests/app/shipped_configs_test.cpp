// The files below configs/.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "config/config_io.h"
#include "shine/app/experiment_config.h"
#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// Shipped experiments: everything below configs/ but configs/base.
std::vector<fs::path> shipped_configs() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(source_dir() / "configs")) {
    const bool is_base = entry.path().parent_path().filename() == "base";
    if (entry.path().extension() == ".yaml" && !is_base) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(ShippedConfigs, AreValidAndOpenWithTheCommandThatRunsThem) {
  const std::vector<fs::path> files = shipped_configs();
  EXPECT_GE(files.size(), 3U);
  for (const fs::path& file : files) {
    EXPECT_NO_THROW(load_experiment_config(file)) << file;
    const std::string text = read_bytes(file);
    const std::string line = text.substr(0, text.find('\n'));
    EXPECT_TRUE(line.starts_with("# ")) << file;
    EXPECT_NE(line.find(file.lexically_relative(source_dir()).string()), std::string::npos) << file << ": " << line;
  }
}

TEST(ShippedConfigs, TakeOverridesThatTurnPartsOff) {
  for (const std::string name : {"qwen3-0.6b", "smollm2-135m", "tiny-text"}) {
    const fs::path file = source_dir() / "configs" / name / "pretrain.yaml";
    for (const std::string text : {"optimizer.clip=none", "stage.completion_frequency=0", "data.validation=[x.txt]",
                                   "data.validation_share=0", "hypernetwork.m2p.kind=linear"}) {
      EXPECT_NO_THROW(load_experiment_config(file, {text})) << name << " " << text;
    }
  }
}

TEST(ShippedConfigs, PublishedStagesTrainAlike) {
  const auto load = [](const std::string& file) { return load_experiment_config(source_dir() / "configs" / file); };
  for (const std::string stage : {"pretrain", "ift_mqa", "ift_1qa"}) {
    ExperimentConfig ours = load("qwen3-8b/" + stage + ".yaml");
    const ExperimentConfig published = load("published/" + stage + ".yaml");
    ours.run = published.run;
    ours.stage = published.stage;
    ours.evaluation = published.evaluation;
    ours.ops.tf32 = true;
    ours.model.dtype = WeightDtype::float32;
    ours.hypernetwork.train_memory = false;
    ours.text.vocabulary = VocabularyUse::tokenizer;
    ours.optimizer.clip = ClipKind::per_group;
    ours.optimizer.loss_average = LossAverage::micro_batch;
    ours.optimizer.decay = DecayScope::published;
    EXPECT_EQ(compare_configs(ours, published), std::vector<std::string>{}) << stage;
  }
}

TEST(ShippedConfigs, QwenPretrainingHasThePapersNumbers) {
  for (const std::string size : {"0.6b", "1.7b", "8b"}) {
    const ExperimentConfig config =
        load_experiment_config(source_dir() / "configs" / ("qwen3-" + size) / "pretrain.yaml");
    ExperimentConfig paper;  // the other defaults are the paper's
    paper.run.dir = "runs/qwen3-" + size + "/pretrain";
    paper.model.path = size == "0.6b" ? "models/Qwen3-0.6B" : size == "1.7b" ? "models/Qwen3-1.7B" : "models/Qwen3-8B";
    paper.model.dtype = WeightDtype::automatic;
    paper.text.tokenizer = paper.model.path;
    paper.data.train = {"data/pretrain.jsonl"};
    paper.optimizer.accumulation = 32;  // 4 on each of 8 GPUs
    paper.evaluation.data = {"data/wikitext-2.txt"};
    paper.evaluation.baselines = {"naive", "shine", "shuffled"};
    if (size == "1.7b") paper.schedule.warmup_steps = 400;
    EXPECT_EQ(compare_configs(paper, config), std::vector<std::string>{}) << size;
  }
}

TEST(ShippedConfigs, QwenInstructionTuningHasThePapersNumbers) {
  for (const std::string size : {"0.6b", "1.7b", "8b"}) {
    const auto load = [&](const std::string& stage) {
      return load_experiment_config(source_dir() / "configs" / ("qwen3-" + size) / (stage + ".yaml"));
    };
    const ExperimentConfig turns = load("ift_mqa"), one = load("ift_1qa");
    ExperimentConfig paper = load("pretrain");  // backbone and hypernetwork are the same in all stages
    paper.run.dir = "runs/qwen3-" + size + "/ift_mqa";
    paper.stage = {.name = StageName::ift_mqa, .init_from = "runs/qwen3-" + size + "/pretrain", .meta_lora_from = ""};
    paper.data.train = {"data/mqa.jsonl"};
    paper.text.context_max_length = paper.text.conversation_max_length = 1150;
    paper.optimizer.learning_rate = 3e-5;
    paper.schedule.warmup_steps = 400;
    paper.schedule.epochs = 2;
    paper.validation = {};
    paper.evaluation = {};
    paper.evaluation.data = {"data/mqa_test.jsonl"};
    EXPECT_EQ(compare_configs(paper, turns), std::vector<std::string>{}) << size;
    paper.run.dir = "runs/qwen3-" + size + "/ift_1qa";
    paper.stage = {.name = StageName::ift_1qa, .init_from = "runs/qwen3-" + size + "/ift_mqa", .meta_lora_from = ""};
    paper.data.train = {"data/1qa.jsonl"};
    paper.text.context_max_length = 2380;
    paper.text.conversation_max_length = 100;
    paper.optimizer.learning_rate = 1e-5;
    paper.schedule.epochs = 1;
    paper.evaluation.data = {"data/1qa_test.jsonl"};
    paper.evaluation.limit = 1000;
    paper.evaluation.context_max_length = 4500;
    paper.evaluation.conversation_max_length = 300;
    paper.evaluation.prompts.empty_think_block = true;
    EXPECT_EQ(compare_configs(paper, one), std::vector<std::string>{}) << size;
  }
}

}  // namespace
}  // namespace shine::test
