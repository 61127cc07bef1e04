// Short runs from nothing: what they print and write, and that a run in parts equals a run in one go.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "integration/compare_runs.h"
#include "integration/tiny_run.h"
#include "shine/app/experiment_config.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::size_t count_lines_with(const std::string& text, const std::string& part) {
  const std::vector<std::string> lines = lines_of(text);
  return static_cast<std::size_t>(std::count_if(
      lines.begin(), lines.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; }));
}

/// A tiny run with a backbone and a pretraining of ten steps in one go, in `run`, made once.
class TrainRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    backbone_ = tiny_->train_backbone();
    pretrain_ = tiny_->train("pretrain.yaml");
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override {
    ASSERT_EQ(backbone_.status, 0) << backbone_.err;
    ASSERT_EQ(pretrain_.status, 0) << pretrain_.err;
  }

  static fs::path folder(const std::string& name) { return tiny_->folder() / name; }
  static Outcome pretrain_in(const std::string& name, std::vector<std::string> overrides = {}) {
    overrides.push_back("run.dir=" + folder(name).string());
    return tiny_->train("pretrain.yaml", overrides);
  }

  static TinyRun* tiny_;
  static Outcome backbone_, pretrain_;
};

TinyRun* TrainRun::tiny_ = nullptr;
Outcome TrainRun::backbone_, TrainRun::pretrain_;

TEST_F(TrainRun, ALongTextIsAWarningUnlessItIsSplit) {
  write_bytes(folder("long.txt"), std::regex_replace(tiny_texts(200), std::regex("\n\n"), " "));
  const std::vector<std::string> data{"data.train=[" + folder("long.txt").string() + "]", "data.validation_share=0",
                                      "run.max_steps=3"};
  const Outcome cut = pretrain_in("cut", data);
  ASSERT_EQ(cut.status, 0) << cut.err;
  std::smatch numbers;
  const std::regex warning(
      R"(warning train: (\d+) of (\d+) tokens \((\d+\.\d) %\) are over the maximum lengths and are cut off or dropped \(set data\.over_long=split)");
  ASSERT_TRUE(std::regex_search(cut.err, numbers, warning)) << cut.err;
  const int lost = std::stoi(numbers[1]), all = std::stoi(numbers[2]);
  EXPECT_LE(all - lost, 72) << "one sample of the maximum length is left";
  EXPECT_GT(all - lost, 50);
  EXPECT_NEAR(std::stod(numbers[3]), 100.0 * lost / all, 0.051);

  std::vector<std::string> split = data;
  split.emplace_back("data.over_long=split");
  const Outcome whole = pretrain_in("split", split);
  ASSERT_EQ(whole.status, 0) << whole.err;
  EXPECT_EQ(whole.err.find("over the maximum lengths"), std::string::npos) << whole.err;
  const std::regex packed(R"(train: packed (\d+) texts into (\d+) groups; 0 texts over )");
  ASSERT_TRUE(std::regex_search(whole.err, numbers, packed)) << whole.err;
  EXPECT_GE(std::stoi(numbers[1]), all / 64) << "pieces of at most 64 tokens";
  EXPECT_LE(std::stoi(numbers[1]), all / 30) << "filled by whole sentences";
}

TEST_F(TrainRun, OneValidationTextIsAWarning) {
  const Outcome share = pretrain_in("one", {"data.validation_share=0.001", "run.max_steps=1"});
  ASSERT_EQ(share.status, 0) << share.err;
  EXPECT_NE(share.err.find("warning the validation data make one sample: the control \"LoRA of another text\" and the "
                           "comparison of generated LoRAs, which need two, are left out (raise data.validation_share"),
            std::string::npos)
      << share.err;
  EXPECT_EQ(pretrain_.err.find("make one sample"), std::string::npos);
}

TEST_F(TrainRun, ARateThatIsNeverReachedIsAWarningBeforeTheFirstStep) {
  const Outcome still = pretrain_in("still", {"run.max_steps=1"});
  ASSERT_EQ(still.status, 0) << still.err;
  EXPECT_LT(still.err.find("warning the only step to do has learning rate 0: nothing is trained"),
            still.err.find("step 1/1"))
      << still.err;
  const Outcome slow = pretrain_in("slow", {"run.max_steps=2", "schedule.warmup_steps=200"});
  EXPECT_NE(slow.err.find("warning schedule.warmup_steps is 200 and the run ends after step 2"), std::string::npos)
      << slow.err;
  EXPECT_EQ(pretrain_.err.find("schedule.warmup_steps"), std::string::npos);
}

TEST_F(TrainRun, BackboneIsAHuggingFaceFolder) {
  std::set<std::string> names;
  for (const auto& [name, content] : snapshot(folder("backbone/model"))) names.insert(name);
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_EQ(read_bytes(folder("backbone/model/config.json")), tiny_decoder_json());
  EXPECT_NE(backbone_.out.find("text"), std::string::npos);
  EXPECT_NE(backbone_.out.find("model: " + folder("backbone/model").string()), std::string::npos) << backbone_.out;
}

TEST_F(TrainRun, PrintsLossLinesAndTheTable) {
  for (const char* step : {"step 1/10  loss ", "step 10/10  loss "}) {  // of those between, one in ten seconds
    EXPECT_EQ(count_lines_with(pretrain_.err, step), 1U) << step;
  }
  const std::vector<std::string> lines = lines_of(pretrain_.out);
  for (const char* set : {"reconstruction", "completion", "LoRA of another text", "no LoRA"}) {
    EXPECT_EQ(std::count_if(lines.begin(), lines.end(), [&](const auto& line) { return line.starts_with(set); }), 1)
        << set << " in\n"
        << pretrain_.out;
  }
  EXPECT_NE(pretrain_.out.find("loss before"), std::string::npos);
  EXPECT_NE(pretrain_.out.find("10 steps, "), std::string::npos);
  EXPECT_NE(pretrain_.out.find("checkpoint: " + folder("run/checkpoints/step-10").string()), std::string::npos);
  EXPECT_NE(pretrain_.out.find("metrics (loss curves): " + folder("run/metrics.jsonl").string()), std::string::npos);
}

TEST_F(TrainRun, MetricsAreWellFormed) {
  int trained = 0;
  std::set<std::string> sets;
  for (const json& event : events_of(folder("run"))) {
    ASSERT_TRUE(event.at("step").is_number_integer());
    if (event.at("kind") == "diagnostics") continue;
    EXPECT_TRUE(std::isfinite(event.at("loss").get<double>()));
    EXPECT_NEAR(event.at("perplexity").get<double>(), std::exp(event.at("loss").get<double>()), 1e-6 * 1e4);
    if (event.at("kind") == "validation") {
      sets.insert(event.at("set").get<std::string>());
      EXPECT_GT(event.at("labels").get<int>(), 0);
      EXPECT_GT(event.at("samples").get<int>(), 0);
      continue;
    }
    EXPECT_EQ(event.at("kind"), "train");
    EXPECT_EQ(event.at("step"), ++trained);
    for (const char* key : {"epoch", "learning_rate", "gradient_norm", "labels", "tokens", "tokens_per_second",
                            "seconds", "dropped_micro_batches"}) {
      EXPECT_TRUE(event.at(key).is_number()) << key;
    }
    EXPECT_EQ(event.at("skipped"), false);
    EXPECT_GT(event.at("gradient_norms").at("mem_tokens").get<double>(), 0);
  }
  EXPECT_EQ(trained, 10);
  EXPECT_EQ(sets, (std::set<std::string>{"reconstruction", "completion", "LoRA of another text", "no LoRA"}));
  EXPECT_EQ(events_of(folder("run")).front().at("step"), 0);
}

TEST_F(TrainRun, TheLossFalls) {
  const auto loss_of = [](const fs::path& run, int step) {
    for (const json& event : events_of(run)) {
      if (event.at("kind") == "train" && event.at("step") == step) return event.at("loss").get<double>();
    }
    return std::nan("");
  };
  EXPECT_LT(loss_of(folder("backbone"), 10), loss_of(folder("backbone"), 1));
}

TEST_F(TrainRun, CheckpointsAreComplete) {
  const auto files = snapshot(folder("run/checkpoints"));
  std::set<std::string> names;
  for (const auto& [name, content] : files) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"step-10/DONE", "step-10/config.yaml", "step-10/metrics.jsonl",
                                          "step-10/optimizer.safetensors", "step-10/random.safetensors",
                                          "step-10/state.json", "step-10/trained.safetensors"}));
  const json state = json::parse(files.at("step-10/state.json"));
  EXPECT_EQ(state.at("step"), 10);
  EXPECT_EQ(state.at("optimizer_steps"), 10);
}

TEST_F(TrainRun, TheResolvedConfigurationReadsBack) {
  const ExperimentConfig written = load_experiment_config(folder("run/config.yaml"));
  EXPECT_EQ(written, load_experiment_config(tiny_->file("pretrain.yaml")));
  EXPECT_EQ(experiment_yaml(written), read_bytes(folder("run/config.yaml")));
  EXPECT_EQ(read_bytes(folder("run/config.yaml")), read_bytes(folder("run/checkpoints/step-10/config.yaml")));
}

TEST_F(TrainRun, RunAgainHasNothingToDo) {
  for (const auto& [yaml, name] : {std::pair{"pretrain.yaml", "run"}, std::pair{"backbone.yaml", "backbone"}}) {
    auto before = snapshot(folder(name));
    const Outcome again = tiny_->train(yaml);
    EXPECT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(again.err.find("loss "), std::string::npos) << again.err;
    EXPECT_NE(again.err.find("nothing to do"), std::string::npos) << again.err;
    auto after = snapshot(folder(name));
    before.erase("log.txt");
    after.erase("log.txt");
    EXPECT_EQ(before, after);
  }
}

TEST_F(TrainRun, FiveStepsAndFiveMoreEqualTen) {
  ASSERT_EQ(pretrain_in("parts", {"run.max_steps=5"}).status, 0);
  ASSERT_TRUE(fs::exists(folder("parts/checkpoints/step-5/DONE")));
  const Outcome rest = pretrain_in("parts");
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_NE(rest.err.find("resuming from"), std::string::npos);
  EXPECT_EQ(count_lines_with(rest.err, "step 6/10  loss "), 1U) << rest.err;
  EXPECT_EQ(count_lines_with(rest.err, "step 5/10  loss "), 0U) << rest.err;
  expect_equal_checkpoints(folder("run"), folder("parts"), 10);
  expect_equal_metrics(folder("run"), folder("parts"));
}

TEST_F(TrainRun, ChosenInterruptionPointsEndTheSame) {
  ASSERT_EQ(pretrain_in("pieces", {"run.max_steps=1"}).status, 0);
  ASSERT_EQ(pretrain_in("pieces", {"run.max_steps=8"}).status, 0);
  ASSERT_EQ(pretrain_in("pieces").status, 0);
  expect_equal_checkpoints(folder("run"), folder("pieces"), 10);
}

TEST_F(TrainRun, AKilledRunGoesOnAndEndsTheSame) {
  const std::vector<std::string> longer{"run.max_steps=60", "checkpoint.every_steps=3"};
  auto with_dir = [&](const std::string& name) {
    std::vector<std::string> all = longer;
    all.push_back("run.dir=" + folder(name).string());
    return all;
  };
  ASSERT_EQ(tiny_->train("pretrain.yaml", with_dir("whole")).status, 0);

  const fs::path killed = folder("killed");
  {
    std::vector<std::string> arguments = with_dir("killed");
    arguments.insert(arguments.begin(), tiny_->file("pretrain.yaml"));
    BackgroundProgram run("shine_train", arguments);
    ASSERT_TRUE(run.wait_until([&] {
      return lines_of(read_bytes(killed / "metrics.jsonl")).size() >= 14 &&
             fs::exists(killed / "checkpoints/step-3/DONE");
    })) << run.err();
    run.signal(SIGKILL);
    ASSERT_EQ(run.wait(), 128 + SIGKILL);
  }
  ASSERT_FALSE(fs::exists(killed / "checkpoints/step-60"));
  // What a crash can leave besides: a checkpoint that was being written, and half a line.
  write_bytes(killed / "checkpoints/step-58.partial-1/trained.safetensors", "cut");
  write_bytes(killed / "checkpoints/step-59/trained.safetensors", "cut");
  write_bytes(killed / "metrics.jsonl", read_bytes(killed / "metrics.jsonl") + "{\"kind\": \"tra");

  const Outcome rest = tiny_->train("pretrain.yaml", with_dir("killed"));
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_NE(rest.err.find("resuming from"), std::string::npos) << rest.err;
  expect_equal_checkpoints(folder("whole"), killed, 60);
  expect_equal_metrics(folder("whole"), killed);
}

}  // namespace
}  // namespace shine::test
