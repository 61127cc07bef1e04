// The program shine_inspect, on a run of ours and on a checkpoint of the published implementation.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "integration/answers.h"
#include "integration/tiny_run.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Inspect : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    backbone_ = tiny_->train_backbone();
    run_ = tiny_->train("pretrain.yaml", {"run.max_steps=3"});
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override {
    ASSERT_EQ(backbone_.status, 0) << backbone_.err;
    ASSERT_EQ(run_.status, 0) << run_.err;
  }

  static std::string run() { return tiny_->file("run"); }
  static fs::path fixture() { return golden_dir() / "fixtures" / "base_0"; }

  /// Runs the program with --json and reads that.
  static json inspected(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--json", tiny_->file("inspection.json")});
    const Outcome outcome = run_program("shine_inspect", arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json::parse(read_bytes(tiny_->file("inspection.json")));
  }

  static TinyRun* tiny_;
  static Outcome backbone_, run_;
};

TinyRun* Inspect::tiny_ = nullptr;
Outcome Inspect::backbone_, Inspect::run_;

TEST_F(Inspect, AnswersAsEveryProgram) {
  expect_usual_answers("shine_inspect");
}

TEST_F(Inspect, PartsOfARunNeedNoBackbone) {
  const std::string moved = tiny_->file("moved");
  fs::copy(run(), moved, fs::copy_options::recursive);
  fs::rename(tiny_->file("backbone"), tiny_->file("away"));
  const Outcome outcome = run_program("shine_inspect", {moved});
  fs::rename(tiny_->file("away"), tiny_->file("backbone"));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part : {"`mem_tokens`", "`metanetwork.layer_pe`", "`metanetwork.transformer_layers.3`",
                           "`metalora.attention.q.A`", "`metalora.mlp.down.B`", "\n| all "}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << " is not in\n" << outcome.out;
  }
  EXPECT_EQ(outcome.out.find("## "), std::string::npos);
}

TEST_F(Inspect, TheLoraOfAContext) {
  write_bytes(tiny_->folder() / "note.txt", "The baker sold a lamp on day 3.\n");
  const std::string output = tiny_->file("output");
  const json found = inspected({run(), "--context", tiny_->file("note.txt"), "--output", output});
  ASSERT_EQ(found.at("deltas").size(), 2U * 7);
  EXPECT_GT(found.at("contexts")[0].at("tokens").get<int>(), 3);
  EXPECT_FALSE(found.contains("diagnostics"));
  for (const json& delta : found.at("deltas")) {
    const auto values = delta.at("singular_values").get<std::vector<double>>();
    ASSERT_EQ(values.size(), 2U);
    EXPECT_GE(values[0], values[1]);
    EXPECT_NEAR(delta.at("norm").get<double>(), std::hypot(values[0], values[1]), 1e-9);
    EXPECT_GT(delta.at("relative_norm").get<double>(), 0.0);
    EXPECT_GE(delta.at("effective_rank").get<double>(), 1.0);
    EXPECT_LE(delta.at("effective_rank").get<double>(), 2.0 + 1e-9);
  }
  const std::string markdown = read_bytes(fs::path(output) / "inspection.md");
  EXPECT_NE(markdown.find("| 1     |       down | "), std::string::npos) << markdown;
  EXPECT_NE(markdown.find("█"), std::string::npos) << markdown;
  EXPECT_EQ(lines_of(read_bytes(fs::path(output) / "deltas.csv")).size(), 1U + 14);
  EXPECT_GT(lines_of(read_bytes(fs::path(output) / "parts.csv")).size(), 15U);
}

TEST_F(Inspect, SeveralContextsAreCompared) {
  const json same = inspected({run(), "--text", "The nurse hid a rope.", "--text", "The nurse hid a rope."});
  EXPECT_NEAR(same.at("diagnostics").at("mean_cosine").get<double>(), 1.0, 1e-9);
  const json different =
      inspected({run(), "--text", "The nurse hid a rope.", "--text", "A judge drew 5 bells on day 9."});
  EXPECT_LT(different.at("diagnostics").at("mean_cosine").get<double>(), 1.0 - 1e-6);
  EXPECT_EQ(different.at("contexts").size(), 2U);
}

TEST_F(Inspect, TrainingWritesTheSameMeasures) {
  std::vector<json> events;
  for (const std::string& line : lines_of(read_bytes(fs::path(run()) / "metrics.jsonl"))) {
    json event = json::parse(line);
    if (event.at("kind") == "diagnostics") events.push_back(std::move(event));
  }
  ASSERT_EQ(events.size(), 2U) << "at the start and at the end";
  EXPECT_EQ(events[1].at("step"), 3);
  EXPECT_GE(events[1].at("contexts").get<int>(), 2);
  EXPECT_LE(events[1].at("contexts").get<int>(), 4) << "validation.max_samples";
  EXPECT_GT(events[1].at("mean_cosine").get<double>(), 0.0);
  EXPECT_GT(events[1].at("relative_norm").at("gate").get<double>(), 0.0);
  EXPECT_NE(run_.err.find("LoRAs of "), std::string::npos) << run_.err;
}

TEST_F(Inspect, APublishedCheckpoint) {
  const std::string checkpoint = (fixture() / "checkpoint").string();
  const Outcome parts = run_program("shine_inspect", {checkpoint});
  EXPECT_EQ(parts.status, 0) << parts.err;
  EXPECT_NE(parts.err.find("published layout"), std::string::npos) << parts.err;
  EXPECT_NE(parts.out.find("| `metalora.mlp.gate.A` "), std::string::npos) << parts.out;
  const Outcome alone = run_program("shine_inspect", {checkpoint, "--text", "A bell."});
  EXPECT_EQ(alone.status, 1);
  EXPECT_NE(alone.err.find("shine_inspect: error: " + checkpoint +
                           ": the checkpoint has no configuration (name one by --config)\n"),
            std::string::npos)
      << alone.err;
  const json found =
      inspected({checkpoint, "model.path=" + (fixture() / "backbone").string(),
                 "text.tokenizer=" + tiny_->file("tokenizer"), "hypernetwork.lora_rank=2",
                 "hypernetwork.meta_lora_rank=4", "hypernetwork.m2p.heads=2", "hypernetwork.m2p.feedforward=128",
                 "--config", tiny_->file("pretrain.yaml"), "--text", "The judge lost a ring."});
  EXPECT_EQ(found.at("deltas").size(), 3U * 7);
}

TEST_F(Inspect, FaultsAreOneClearLine) {
  const auto expect_fault = [](const std::vector<std::string>& arguments, const std::string& part) {
    const Outcome outcome = run_program("shine_inspect", arguments);
    EXPECT_EQ(outcome.status, 1) << outcome.out;
    const std::vector<std::string> lines = lines_of(outcome.err);
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines.back().find("shine_inspect: error: "), 0U) << outcome.err;
    EXPECT_NE(lines.back().find(part), std::string::npos) << outcome.err;
  };
  expect_fault({tiny_->file("nowhere")}, "no such folder");
  expect_fault({run(), "nonsense=3"}, "override `nonsense=3`: unknown key `nonsense`");
  expect_fault({run(), "nonsense"}, "expected `key.path=value`");
  expect_fault({run(), "run.device=cpu"},
               "override `run.device=cpu`: has no effect without --context or --text (remove it)");
  expect_fault({run(), "--config", tiny_->file("pretrain.yaml")},
               "--config: has no effect without --context or --text");
  expect_fault({tiny_->file("tokenizer")}, "neither a checkpoint, nor a run's folder");
  expect_fault({run(), "--context", tiny_->file("nowhere.txt")}, "nowhere.txt");
  expect_fault({run(), "--text", ""}, "the context is empty");
  expect_fault({tiny_->file("backbone"), "--text", "A bell."}, "stage backbone generates no LoRA");
  std::string bells;
  for (int i = 0; i < 300; ++i) bells += "bell ";
  expect_fault({run(), "--text", bells}, "more than the backbone's 256 positions");
  expect_fault({run(), "--text", "A bell.", "model.path=" + (fixture() / "backbone").string()},
               "mem_tokens expected (41, 64) found (");
}

}  // namespace
}  // namespace shine::test
