#include "app/inspect/compare_runs.h"

#include <gtest/gtest.h>

#include <sstream>

#include "checkpoint/checkpoint.h"
#include "checkpoint/raw_tensors.h"
#include "checkpoint/run_folder.h"
#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class CompareRuns : public testing::Test {
 protected:
  /// A run of `name` with its configuration, metrics and, where `program` is given, a checkpoint after step 3.
  fs::path make_run(const std::string& name, const std::string& settings, const std::string& metrics,
                    const std::string& program = "") const {
    const RunFolder run{folder_.path() / name};
    fs::create_directories(run.root);
    const std::string config = "run: {dir: " + name + "}\nmodel: {path: m}\ndata: {train: [a.txt]}\n" + settings;
    write_file_atomically(run.config(), config);
    write_file_atomically(run.metrics(), metrics);
    if (program.empty()) return run.root;
    CheckpointContents contents;
    contents.weights = {{"a", raw_tensor({1})}};
    contents.moments = {{"m.a", raw_tensor({1})}};
    contents.random = {{"cpu", raw_tensor({1})}};
    contents.progress.step = 3;
    contents.progress.tokens = 400;
    contents.progress.seconds = 2.5;
    contents.made_by = {program, {{"libtorch", "2.11.0"}}, "cpu", 2};
    contents.config_yaml = config;
    save_checkpoint(run.root / "checkpoints" / "step-3", contents);
    return run.root;
  }

  std::string compare(const fs::path& a, const fs::path& b) const { return folder_.shorten(compare_runs({a, b})); }

  TemporaryFolder folder_;
};

std::string train(int step, const std::string& loss, int speed) {
  return R"({"kind":"train","step":)" + std::to_string(step) + R"(,"loss":)" + loss + R"(,"tokens_per_second":)" +
         std::to_string(speed) + "}\n";
}

std::string validation(int step, const std::string& set, const std::string& loss) {
  return R"({"kind":"validation","step":)" + std::to_string(step) + R"(,"set":")" + set + R"(","loss":)" + loss + "}\n";
}

TEST_F(CompareRuns, ShowsEveryDifference) {
  const auto a = make_run("a", "optimizer: {learning_rate: 1e-3}\n",
                          validation(0, "text", "7.5") + train(1, "5.25", 100) + train(2, "4.5", 300) +
                              validation(2, "text", "4.25") + train(3, "4.25", 200) + validation(3, "text", "4.75"),
                          "0.1.0 (aaa)");
  const auto b =
      make_run("b", "optimizer: {learning_rate: 5e-4}\nrun.seed: 2\n", train(1, "5.25", 150) + train(2, "4.625", 150));
  write_file_atomically(b / "config.yaml",
                        "run: {dir: b, seed: 2}\nmodel: {path: m}\ndata: {train: [a.txt]}\n"
                        "optimizer: {learning_rate: 5e-4}\n");
  write_finished_mark({a}, {3, 3});
  EXPECT_EQ(compare(a, b),
            R"(A: a
B: b

configuration: 2 differences (A -> B)
  run.seed: 42 -> 2
  optimizer.learning_rate: 0.001 -> 5e-04
program: unknown, no readable checkpoint in B
training losses: identical for 1 logged step, different from step 2 on: 4.5 and 4.625, B - A +0.125
|B - A| / |A| of the training losses: largest 2.778 % (step 2), mean 1.389 %, last 2.778 % of 2 logged steps

                                                        A                B        B - A
state                                            finished     not finished
steps                                                   3                2           -1
seconds of training, at the checkpoint                2.5                -
tokens, at the checkpoint                             400                -
tokens/s, median                                      200              150          -50
training loss, last                               4.25000          4.62500       +0.375
training loss, mean of the last 50 steps          4.66667          4.93750       +0.271

validation loss
text, last                                        4.75000                -
text, best                                        4.25000                -
text, best at step                                      2                -
)");
}

TEST_F(CompareRuns, ARunThatRepeatsAnotherIsIdentical) {
  const std::string metrics = train(1, "5.25", 100) + train(2, "null", 300);
  const auto a = make_run("a", "", metrics, "0.1.0 (aaa)");
  const auto b = make_run("b", "", metrics + R"({"kind":"train","st)", "0.1.0 (aaa)");
  const std::string text = compare(a, b);
  EXPECT_NE(text.find("configuration: the same\nprogram, libraries and device: the same\n"
                      "training losses: identical for all 2 logged steps in common\n"),
            std::string::npos)
      << text;
}

TEST_F(CompareRuns, ARunThatIsLoggedLessOftenIsNoOtherRun) {
  std::string every, tenth;
  for (int step = 1; step <= 200; ++step) {
    const std::string line = train(step, std::to_string(2000 - step * step % 77), 100);
    every += line;
    if (step % 10 == 0) tenth += line;
    if (step % 20 == 0) every += validation(step, "text", std::to_string(300 - step * 7 % 90));
    if (step % 100 == 0) tenth += validation(step, "text", std::to_string(300 - step * 7 % 90));
  }
  const std::string text = compare(make_run("a", "", every), make_run("b", "", tenth));
  const auto expect_equal_cells = [&](const std::string& row) {
    const std::size_t at = text.find("\n" + row + "  ");
    ASSERT_NE(at, std::string::npos) << row << " is not in\n" << text;
    std::istringstream cells(text.substr(at + 1 + row.size(), text.find('\n', at + 1) - at - 1 - row.size()));
    std::string a, b, difference;
    cells >> a >> b >> difference;
    EXPECT_EQ(a, b) << row;
    EXPECT_EQ(difference, "+0") << row;
  };
  for (const char* row : {"steps", "training loss, last", "training loss, mean of the last 50 steps", "text, last",
                          "text, best", "text, best at step"}) {
    expect_equal_cells(row);
  }
  EXPECT_NE(text.find("training losses: identical for all 20 logged steps in common\n"), std::string::npos) << text;
}

TEST_F(CompareRuns, TheMeanIsOverStepsNotOverLoggedOnes) {
  std::string metrics;
  for (int step = 10; step <= 1000; step += 10) metrics += train(step, step <= 950 ? "9.0" : "2.0", 100);
  const auto run = make_run("a", "", metrics);
  const std::string text = compare(run, run);
  EXPECT_NE(text.find("training loss, mean of the last 50 steps          2.00000          2.00000           +0\n"),
            std::string::npos)
      << text;
}

TEST_F(CompareRuns, StoppedRunsAreComparedAtTheLastStepThatBothLogged) {
  // Both have their checkpoint after step 3; the second logged only every second step.
  const auto a = make_run("a", "", train(1, "5.0", 1) + train(2, "4.0", 1) + train(3, "3.0", 1), "0.1.0 (aaa)");
  const auto b = make_run("b", "", train(2, "4.0", 1), "0.1.0 (aaa)");
  const std::string text = compare(a, b);
  EXPECT_NE(text.find("\nsteps                                                   3                3           +0\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\ntraining loss, at step 2                          4.00000          4.00000           +0\n"),
            std::string::npos)
      << text;
}

TEST_F(CompareRuns, DifferencesAreSharesOfTheFirstRunsLosses) {
  const auto a = make_run("a", "", train(1, "4.0", 1) + train(2, "2.0", 1) + train(3, "null", 1) + train(4, "1.0", 1));
  const auto b = make_run(
      "b", "", train(1, "3.0", 1) + train(2, "2.0", 1) + train(3, "2.0", 1) + train(4, "1.02", 1) + train(5, "9.0", 1));
  const std::string text = compare(a, b);
  EXPECT_NE(text.find("training losses: different from step 1 on: 4 and 3, B - A -1\n|B - A| / |A| of the training "
                      "losses: largest 25.000 % (step 1), mean 9.000 %, last 2.000 % of 3 logged steps, and 1 "
                      "where a loss is not finite\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(compare(a, a).find("|B - A|"), std::string::npos);
  const std::string diverged = compare(make_run("c", "", train(1, "4.0", 1)), make_run("d", "", train(1, "null", 1)));
  EXPECT_NE(diverged.find("of no step, and 1 where a loss is not finite\n"), std::string::npos) << diverged;
}

TEST_F(CompareRuns, ProgramsAreThoseOfTheNewestReadableCheckpoint) {
  const auto a = make_run("a", "", "", "0.1.0 (aaa)");
  const auto b = make_run("b", "", "", "0.1.0 (bbb)");
  std::string text = compare(a, b);
  EXPECT_NE(text.find("program, libraries and device: 1 difference (A -> B)\n  program: 0.1.0 (aaa) -> 0.1.0 (bbb)\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("training losses: no step in common\n"), std::string::npos) << text;
  write_file_atomically(b / "checkpoints/step-3/state.json", "{}");
  text = compare(a, b);
  EXPECT_NE(text.find("program: unknown, no readable checkpoint in B\n"), std::string::npos) << text;
}

TEST_F(CompareRuns, AnyNumberOfRunsHaveAColumnEach) {
  const auto a = make_run("a", "optimizer: {learning_rate: 1e-3}\n",
                          train(1, "5.0", 100) + train(2, "4.0", 100) + validation(2, "text", "4.5"), "0.1.0 (aaa)");
  const auto b =
      make_run("b", "optimizer: {learning_rate: 5e-4}\n",
               train(2, "4.0", 200) + validation(1, "text", "9.0") + validation(2, "text", "4.25"), "0.1.0 (aaa)");
  const auto c =
      make_run("c", "optimizer: {learning_rate: 1e-3}\n", train(1, "5.0", 300) + train(2, "5.0", 300), "0.1.0 (ccc)");
  EXPECT_EQ(folder_.shorten(compare_runs({a, b, c})),
            R"(A: a
B: b
C: c

configuration: 1 difference (A -> B -> C)
  optimizer.learning_rate: 0.001 -> 5e-04 -> 0.001
program, libraries and device: 1 difference (A -> B -> C)
  program: 0.1.0 (aaa) -> 0.1.0 (aaa) -> 0.1.0 (ccc)
training losses of A and B: identical for all 1 logged steps in common
training losses of A and C: identical for 1 logged step, different from step 2 on: 4 and 5, C - A +1
|C - A| / |A| of the training losses: largest 25.000 % (step 2), mean 12.500 %, last 25.000 % of 2 logged steps

                                                        A                B                C
state                                        not finished     not finished     not finished
steps                                                   3                3                3
seconds of training, at the checkpoint                2.5              2.5              2.5
tokens, at the checkpoint                             400              400              400
tokens/s, median                                      100              200              300
training loss, at step 2                          4.00000          4.00000          5.00000
training loss, mean of the last 50 steps          4.00000          4.00000          5.00000

validation loss
text, last                                        4.50000          4.25000                -
text, best                                        4.50000          4.25000                -
text, best at step                                      2                2                -
)");
  EXPECT_THROW(compare_runs({a}), ConfigError);
  EXPECT_THROW(compare_runs(std::vector<fs::path>(27, a)), ConfigError);
}

TEST_F(CompareRuns, KeysOfTestsAreListedWhenAsked) {
  const auto a = make_run("a", "evaluation: {limit: 5, batch_size: 2}\n", "");
  const auto b = make_run("b", "evaluation: {limit: 7, batch_size: 4}\noptimizer: {batch_size: 3}\n", "");
  const std::string text = compare(a, b);
  EXPECT_NE(text.find("configuration: 1 difference (A -> B)\n  optimizer.batch_size: "), std::string::npos) << text;
  EXPECT_NE(text.find("\nevaluation.*: 2 differences, which only tests read (--all-keys lists them)\n"),
            std::string::npos)
      << text;
  const std::string all = compare_runs({a, b}, /*all_keys=*/true);
  EXPECT_NE(all.find("configuration: 3 differences (A -> B)\n"), std::string::npos) << all;
  EXPECT_NE(all.find("\n  evaluation.limit: 5 -> 7\n"), std::string::npos) << all;
  EXPECT_EQ(all.find("--all-keys"), std::string::npos) << all;
}

TEST_F(CompareRuns, WhatIsNoRunIsOneLine) {
  const auto a = make_run("a", "", "");
  const auto fault = [&](const fs::path& b) {
    try {
      compare(a, b);
    } catch (const Error& error) {
      std::string message = error.what();
      return message.substr(message.find(folder_.path().string()) + folder_.path().string().size());
    }
    return std::string();
  };
  EXPECT_EQ(fault(folder_.path() / "nowhere"), "/nowhere: no such folder");
  fs::create_directories(folder_.path() / "empty");
  EXPECT_EQ(fault(folder_.path() / "empty"), "/empty: not a run's folder, it has no config.yaml (name a run.dir)");
  const auto broken = make_run("broken", "", train(1, "5.25", 100) + "nonsense\n" + train(2, "5.0", 100));
  EXPECT_EQ(fault(broken).find("/broken/metrics.jsonl:2"), 0U) << fault(broken);
}

}  // namespace
}  // namespace shine::test
