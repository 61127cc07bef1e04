// The program shine_test_pretrain on a model of a few steps.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "integration/answers.h"
#include "integration/tiny_run.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class TestPretrain : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    backbone_ = tiny_->train_backbone();
    run_ = tiny_->train("pretrain.yaml");
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override {
    ASSERT_EQ(backbone_.status, 0) << backbone_.err;
    ASSERT_EQ(run_.status, 0) << run_.err;
  }

  /// Five texts in each of the buckets of 4, 7 and 10 tokens.
  static Outcome test(const std::string& output, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{tiny_->file("pretrain.yaml"),
                                       "evaluation.buckets.first=4",
                                       "evaluation.buckets.last=10",
                                       "evaluation.buckets.step=3",
                                       "evaluation.batch_size=3",
                                       "evaluation.baselines=[naive,shine,shuffled]",
                                       "--data",
                                       tiny_->file("texts.txt"),
                                       "--limit",
                                       "5",
                                       "--output",
                                       tiny_->file(output)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program("shine_test_pretrain", arguments);
  }

  static void expect_fault(const Outcome& outcome, const std::string& message) {
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.err.find("shine_test_pretrain: error: "), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(message), std::string::npos) << outcome.err;
  }

  static TinyRun* tiny_;
  static Outcome backbone_, run_;
};

TinyRun* TestPretrain::tiny_ = nullptr;
Outcome TestPretrain::backbone_, TestPretrain::run_;

TEST_F(TestPretrain, AnswersAsEveryProgram) {
  expect_usual_answers("shine_test_pretrain");
}

TEST_F(TestPretrain, WritesLossesAndTheirStatistics) {
  const Outcome outcome = test("out");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const fs::path out = tiny_->file("out");
  const std::string report = read_bytes(out / "report.md");
  EXPECT_EQ(outcome.out.find(report), 0U) << outcome.out;
  EXPECT_NE(report.find("| tokens | texts | naive | shine | shuffled |\n"), std::string::npos) << report;

  std::map<std::string, double> sums;
  const auto lines = lines_of(read_bytes(out / "losses.jsonl"));
  EXPECT_EQ(lines.size(), 3U * 2 * 3 * 5);  // buckets, tasks, methods, texts
  for (const std::string& line : lines) {
    const auto record = nlohmann::json::parse(line);
    const auto tokens = record.at("tokens").get<std::int64_t>(), length = record.at("length").get<std::int64_t>();
    EXPECT_LE(std::abs(tokens - length), 2) << line;  // a cut text may be tokenised anew
    if (length == 7 && record.at("task") == "completion") {
      sums[record.at("method").get<std::string>()] += std::exp(record.at("loss").get<double>());
    }
  }
  EXPECT_NE(sums.at("shine"), sums.at("shuffled"));
  EXPECT_NE(sums.at("shine"), sums.at("naive"));
  const auto summary = nlohmann::json::parse(read_bytes(out / "summary.json"));
  ASSERT_EQ(summary.at("rows").size(), 18U);
  for (const auto& row : summary.at("rows")) {
    EXPECT_EQ(row.at("texts"), 5);
    if (row.at("length") != 7 || row.at("task") != "completion") continue;
    EXPECT_NEAR(row.at("perplexity").at("mean").get<double>(), sums.at(row.at("method").get<std::string>()) / 5, 1e-6);
  }
}

TEST_F(TestPretrain, ACutOffTestGoesOn) {
  ASSERT_EQ(test("whole").status, 0);
  const fs::path whole = tiny_->file("whole"), part = tiny_->file("part");
  fs::copy(whole, part, fs::copy_options::recursive);
  const std::string losses = read_bytes(whole / "losses.jsonl");
  write_bytes(part / "losses.jsonl", losses.substr(0, losses.size() / 2));
  fs::remove(part / "summary.json");

  expect_fault(test("part"), "the folder holds results already, in losses.jsonl");
  expect_fault(test("part", {"--resume", "evaluation.seed=1"}), "evaluation.seed: 42 -> 1");
  const Outcome outcome = test("part", {"--resume"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("going on: "), std::string::npos) << outcome.err;
  for (const char* file : {"losses.jsonl", "summary.json", "perplexity.csv", "report.md"}) {
    EXPECT_EQ(read_bytes(part / file), read_bytes(whole / file)) << file;
  }
}

TEST_F(TestPretrain, MethodsWithoutMeaningAreLeftOutAloud) {
  const Outcome outcome = test("named", {"--baselines", "naive,in_context,sft"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("evaluation.baselines: in_context, sft left out"), std::string::npos) << outcome.err;
  const Outcome usual = test("unnamed", {"--baselines", "naive,in_context,shine"});
  ASSERT_EQ(usual.status, 0) << usual.err;
  EXPECT_EQ(usual.err.find("left out, without meaning"), std::string::npos) << "the default, which nobody named";
}

TEST_F(TestPretrain, AControlThatCannotBeIsAWarning) {
  const Outcome outcome = run_program(
      "shine_test_pretrain", {tiny_->file("pretrain.yaml"), "evaluation.buckets.first=7", "evaluation.buckets.last=7",
                              "evaluation.baselines=[shine,shuffled]", "--data", tiny_->file("texts.txt"), "--limit",
                              "1", "--output", tiny_->file("single")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("warning bucket of 7 tokens: method shuffled is left out"), std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("test contexts are training data of stage pretrain ("), std::string::npos) << outcome.err;
}

TEST_F(TestPretrain, FaultsAreNamed) {
  expect_fault(test("f", {"--checkpoint", tiny_->file("none")}), "no such folder, and trained weights are needed");
  expect_fault(test("f", {"--baselines", "in_context,sft"}), "have no meaning for reconstruction and completion");
  expect_fault(test("f", {"evaluation.buckets.first=200", "evaluation.buckets.last=200"}),
               "no text of at least 200 tokens");
  expect_fault(test("f", {"evaluation.buckets.first=20"}), "evaluation.buckets: first 20 is above last 10");
  expect_fault(test("f", {"evaluation.buckets.conversation_margin=3"}), "the template alone takes");
  expect_fault(test("f", {"evaluation.buckets.context_margin=250"}), "the backbone has 256");
  expect_fault(test("f", {"--data", tiny_->file("no.txt")}), "no.txt");
}

}  // namespace
}  // namespace shine::test
