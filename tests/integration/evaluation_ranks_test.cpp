// The test programs on several ranks: what they write does not depend on how many there are.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "integration/mpirun.h"
#include "integration/tiny_run.h"
#include "support/skip.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The records without what a clock or a memory gauge gives.
json without_costs(json value) {
  if (value.is_object()) {
    for (const char* key : {"prepare_seconds", "answer_seconds", "peak_bytes"}) value.erase(key);
  }
  if (value.is_structured()) {
    for (json& part : value) part = without_costs(part);
  }
  return value;
}

class EvaluationRanks : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    obstacle_ = obstacle_to_ranks();
    if (!obstacle_.empty()) return;
    tiny_ = new TinyRun();
    for (const char* yaml : {"backbone.yaml", "pretrain.yaml"}) {
      const Outcome trained = tiny_->train(yaml);
      if (trained.status != 0) throw std::runtime_error(trained.err);
    }
    // Every second context has conversations for SFT.
    std::string lines;
    for (const std::string& line : lines_of(read_bytes(tiny_->file("held_out.jsonl")))) {
      json item = json::parse(line);
      if (lines_of(lines).size() % 2 == 0) {
        item["sft_conversations"] = {
            {{{"role", "user"}, {"content", "Who sold it?"}}, {{"role", "assistant"}, {"content", "The baker"}}}};
      }
      lines += item.dump() + "\n";
    }
    write_bytes(tiny_->file("asked.jsonl"), lines);
    const Outcome ranks = on_ranks(2, "shine_test_pretrain", "probe", {"--limit", "1"});
    if (ranks.err.find("built without MPI") != std::string::npos) obstacle_ = "programs without MPI";
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override {
    if (!obstacle_.empty()) SHINE_SKIP("mpi", obstacle_);
  }

  static std::vector<std::string> arguments(const std::string& program, const std::string& output,
                                            const std::vector<std::string>& more) {
    std::vector<std::string> all{tiny_->file("pretrain.yaml"), "--output", tiny_->file(output)};
    if (program == "shine_test_pretrain") {
      all.insert(all.end(), {"--data", tiny_->file("texts.txt"), "evaluation.buckets.first=4",
                             "evaluation.buckets.last=10", "evaluation.buckets.step=3", "evaluation.batch_size=3",
                             "evaluation.baselines=[naive,shine,shuffled]"});
      if (std::find(more.begin(), more.end(), "--limit") == more.end()) all.insert(all.end(), {"--limit", "5"});
    } else {
      all.insert(all.end(),
                 {"--data", tiny_->file("asked.jsonl"), "evaluation.decoding.max_new_tokens=8",
                  "evaluation.sft.epochs=1", "evaluation.batch_size=2", "evaluation.prompts.multi_turn_naive=Be short.",
                  "evaluation.prompts.multi_turn_in_context='Text: {context}'"});
    }
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static Outcome alone(const std::string& program, const std::string& output, const std::vector<std::string>& more) {
    return run_program(program, arguments(program, output, more));
  }
  static Outcome on_ranks(int ranks, const std::string& program, const std::string& output,
                          const std::vector<std::string>& more) {
    return run_program_on_ranks(ranks, program, arguments(program, output, more));
  }
  static std::string read(const std::string& output, const std::string& name) {
    return read_bytes(tiny_->folder() / output / name);
  }
  static std::vector<std::string> results_of(const std::string& output) {
    std::vector<std::string> lines;
    for (const std::string& line : lines_of(read(output, "answers.jsonl"))) {
      lines.push_back(without_costs(json::parse(line)).dump());
    }
    return lines;
  }

  static void expect_equal_answers(const std::string& found, const std::string& expected) {
    SCOPED_TRACE(found);
    EXPECT_EQ(results_of(found), results_of(expected));
    EXPECT_EQ(read(found, "prompts.jsonl"), read(expected, "prompts.jsonl"));
    EXPECT_EQ(without_costs(json::parse(read(found, "summary.json"))),
              without_costs(json::parse(read(expected, "summary.json"))));
    EXPECT_EQ(read(found, "test.json"), read(expected, "test.json"));
  }
  static void expect_equal_losses(const std::string& found, const std::string& expected) {
    SCOPED_TRACE(found);
    for (const char* file : {"losses.jsonl", "summary.json", "perplexity.csv", "report.md", "test.json"}) {
      EXPECT_EQ(read(found, file), read(expected, file)) << file;
    }
  }

  static TinyRun* tiny_;
  static std::string obstacle_;
};

TinyRun* EvaluationRanks::tiny_ = nullptr;
std::string EvaluationRanks::obstacle_;

const std::vector<std::string> kAllMethods{"--baselines", "naive,in_context,sft,shine,shuffled", "--prompts"};

TEST_F(EvaluationRanks, MultiTurnAnswersAreThoseOfOneProcess) {
  ASSERT_EQ(alone("shine_test_mqa", "mqa-1", kAllMethods).status, 0);
  EXPECT_EQ(results_of("mqa-1").size(), 4U * (12 + 6) + 6 + 3);
  for (const int ranks : {2, 3}) {
    const std::string output = "mqa-" + std::to_string(ranks);
    const Outcome outcome = on_ranks(ranks, "shine_test_mqa", output, kAllMethods);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    expect_equal_answers(output, "mqa-1");
    EXPECT_EQ(outcome.out, read(output, "report.md") + "\nresults: " + tiny_->file(output) + "\n");
    for (int rank = 1; rank < ranks; ++rank) {
      EXPECT_FALSE(read(output, "log-rank" + std::to_string(rank) + ".txt").empty());
    }
  }
}

TEST_F(EvaluationRanks, OneQuestionAnswersAreThoseOfOneProcess) {
  const std::vector<std::string> joined{"evaluation.group_tokens=60", "--limit", "7", "--prompts"};
  ASSERT_EQ(alone("shine_test_1qa", "1qa-1", joined).status, 0);
  const Outcome outcome = on_ranks(2, "shine_test_1qa", "1qa-2", joined);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  expect_equal_answers("1qa-2", "1qa-1");
}

TEST_F(EvaluationRanks, LossesAreThoseOfOneProcess) {
  ASSERT_EQ(alone("shine_test_pretrain", "loss-1", {}).status, 0);
  for (const int ranks : {2, 3}) {
    const std::string output = "loss-" + std::to_string(ranks);
    const Outcome outcome = on_ranks(ranks, "shine_test_pretrain", output, {});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    expect_equal_losses(output, "loss-1");
    EXPECT_EQ(outcome.out.find(read(output, "report.md")), outcome.out.rfind(read(output, "report.md")));
  }
}

TEST_F(EvaluationRanks, AnotherNumberOfRanksGoesOn) {
  ASSERT_EQ(alone("shine_test_mqa", "begun", kAllMethods).status, 0);
  ASSERT_EQ(alone("shine_test_pretrain", "loss-begun", {}).status, 0);
  for (const int ranks : {1, 3}) {
    const auto go_on = [&](const std::string& program, const std::string& output, std::vector<std::string> more) {
      more.emplace_back("--resume");
      return ranks == 1 ? alone(program, output, more) : on_ranks(ranks, program, output, more);
    };
    const std::string part = "part-" + std::to_string(ranks), losses = "loss-part-" + std::to_string(ranks);
    // What two ranks left when they were killed: a third of it.
    fs::copy(tiny_->file("begun"), tiny_->file(part), fs::copy_options::recursive);
    const std::string whole = read("begun", "answers.jsonl");
    write_bytes(tiny_->folder() / part / "answers.jsonl", whole.substr(0, whole.size() / 3));
    const Outcome rest = go_on("shine_test_mqa", part, kAllMethods);
    ASSERT_EQ(rest.status, 0) << rest.err;
    EXPECT_NE(rest.err.find("going on: "), std::string::npos) << rest.err;
    expect_equal_answers(part, "begun");

    fs::copy(tiny_->file("loss-begun"), tiny_->file(losses), fs::copy_options::recursive);
    const std::string lines = read("loss-begun", "losses.jsonl");
    write_bytes(tiny_->folder() / losses / "losses.jsonl", lines.substr(0, lines.size() / 2));
    ASSERT_EQ(go_on("shine_test_pretrain", losses, {}).status, 0);
    expect_equal_losses(losses, "loss-begun");
  }
}

TEST_F(EvaluationRanks, AStoppedAndAKilledTestGoOnToTheSameEnd) {
  std::vector<std::string> longer{"evaluation.batch_size=1", "evaluation.decoding.max_new_tokens=60",
                                  "evaluation.decoding.stop=[<RECON>]", "--prompts"};
  ASSERT_EQ(alone("shine_test_mqa", "long", longer).status, 0);
  /// Starts two ranks, ends them while they answer, and returns the status of mpirun.
  const auto end_early = [&](const std::string& output, const auto& end, const std::string& message) {
    const std::vector<std::string> words = arguments("shine_test_mqa", output, longer);
    BackgroundProgram run(mpirun_path(), mpirun_arguments(2, "shine_test_mqa", words));
    EXPECT_TRUE(run.wait_until([&] { return lines_of(read(output, "answers.jsonl")).size() >= 4; })) << run.err();
    end(run);
    const int status = run.wait();
    EXPECT_NE(run.err().find(message), std::string::npos) << run.err();
    return status;
  };
  const auto stop = [](BackgroundProgram& run) { run.signal(SIGUSR1); };
  EXPECT_EQ(end_early("stopped", stop, "stopped by SIGUSR1: run the same command with --resume to go on"), 75);
  EXPECT_TRUE(json::parse(read("stopped", "summary.json")).is_object());
  const auto kill_one = [](BackgroundProgram&) { kill(process_of_rank(1, tiny_->file("killed")), SIGKILL); };
  EXPECT_EQ(end_early("killed", kill_one, ""), 137);

  const std::vector<std::string> before = results_of("stopped"), whole = results_of("long");
  ASSERT_LT(before.size(), whole.size());
  EXPECT_TRUE(std::equal(before.begin(), before.end(), whole.begin())) << "whole batches, in order";
  EXPECT_FALSE(fs::exists(tiny_->folder() / "killed/report.md"));
  longer.emplace_back("--resume");
  for (const char* output : {"stopped", "killed"}) {
    const Outcome rest = on_ranks(3, "shine_test_mqa", output, longer);
    ASSERT_EQ(rest.status, 0) << rest.err;
    expect_equal_answers(output, "long");
  }
}

TEST_F(EvaluationRanks, NobodyWaitsForTheJudge) {
  const std::vector<std::string> judged{
      "--baselines", "naive", "--limit", "2", "run.rank_timeout=1", "evaluation.judge=sleep 3; sed 's/.*/0.5/'"};
  const Outcome outcome = on_ranks(2, "shine_test_mqa", "judged", judged);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(lines_of(read("judged", "judge.jsonl")).size(), 4U);
  const Outcome failed = on_ranks(2, "shine_test_mqa", "badly-judged",
                                  {"--baselines", "naive", "--limit", "2", "evaluation.judge=exit 3"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_NE(failed.err.find("the command ended with status 3"), std::string::npos) << failed.err;
}

TEST_F(EvaluationRanks, AFaultOfOneRankEndsAll) {
  const auto started = std::chrono::steady_clock::now();
  // Rank 0 alone looks into the folder.
  ASSERT_EQ(alone("shine_test_pretrain", "taken", {}).status, 0);
  const Outcome taken = on_ranks(2, "shine_test_pretrain", "taken", {});
  EXPECT_EQ(taken.status, 1) << taken.err;
  EXPECT_NE(taken.err.find("the folder holds results already, in losses.jsonl"), std::string::npos) << taken.err;

  // Ranks that were started with different options.
  std::vector<std::string> words =
      mpirun_arguments(1, "shine_test_pretrain", arguments("shine_test_pretrain", "a", {}));
  words.insert(words.begin(), "mpirun");
  words.insert(words.end(), {":", "-n", "1", (bin_dir() / "shine_test_pretrain").string()});
  for (const std::string& word : arguments("shine_test_pretrain", "a", {"evaluation.seed=3"})) words.push_back(word);
  const Outcome different = run_command(words);
  EXPECT_EQ(different.status, 1) << different.err;
  EXPECT_NE(different.err.find("the configuration: differs from rank 0's on rank 1"), std::string::npos)
      << different.err;
  EXPECT_FALSE(fs::exists(tiny_->file("a")));
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(120));
}

}  // namespace
}  // namespace shine::test
