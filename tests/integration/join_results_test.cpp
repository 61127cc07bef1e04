// scripts/join_results.py on summaries of two seeds.
#include <gtest/gtest.h>

#include "eval/reconstruction/perplexity_report.h"
#include "eval/report/report.h"
#include "integration/run_program.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// A run with one question of one context, answered by naive and by shine.
void write_questions(const fs::path& folder, std::int64_t seed, double shine_f1) {
  EvaluationResults results;
  for (const Method method : {Method::naive, Method::shine}) {
    AnswerRecord answer;
    answer.method = method;
    answer.item = "i";
    answer.f1 = method == Method::shine ? shine_f1 : 0.125;
    results.answers.push_back(answer);
    ContextRecord context;
    context.method = method;
    context.item = "i";
    context.context_tokens = 64;
    context.answer_seconds = 1.5;
    context.peak_bytes = std::int64_t{2} << 20;
    results.contexts.push_back(context);
  }
  ReportOptions options;
  options.labels = {"tiny", "notes", "", seed};
  fs::create_directories(folder);
  write_report(make_report(results, options), folder);
}

void write_losses(const fs::path& folder, std::int64_t seed) {
  LossRecord record;
  record.length = 100;
  record.method = Method::shine;
  record.tokens = 98;
  fs::create_directories(folder);
  write_perplexity(perplexity_rows({record}), {"tiny", "texts", "", seed}, folder);
}

class JoinResults : public testing::Test {
 protected:
  void SetUp() override {
    if (run_command({"python3", "--version"}).status != 0) GTEST_SKIP() << "there is no python3";
    write_questions(folder_.path() / "a" / "one", 1, 0.5);
    write_questions(folder_.path() / "a" / "two", 2, 0.75);
    write_losses(folder_.path() / "b", 1);
  }
  static Outcome join(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"python3", "scripts/join_results.py"});
    return run_command(arguments);
  }
  std::string at(const std::string& name) const { return (folder_.path() / name).string(); }

  TemporaryFolder folder_;
};

TEST_F(JoinResults, SeedsAreAveraged) {
  const Outcome outcome = join({at("a"), at("b"), "--output", at("out")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("| mqa | notes | tiny | naive | 2 | 1 | 12.5 +- 0.0 | 0.0 +- 0.0 | - |"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("| mqa | notes | tiny | shine | 2 | 1 | 62.5 +- 17.7 | 0.0 +- 0.0 | - | 0.000 +- 0.000 | "
                             "1.500 +- 0.000 | 2 +- 0 |"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("| texts | tiny | reconstruction | 100 | shine | 1 | 1.000 | 1.000 | 1.000 | 1.000 |"),
            std::string::npos)
      << outcome.out;
  EXPECT_EQ(read_bytes(at("out/tables.md")), outcome.out);
  EXPECT_NE(read_bytes(at("out/scores.csv")).find("\nmqa,notes,tiny,shine,2,1,0.625,0.1767"), std::string::npos);
  EXPECT_NE(read_bytes(at("out/perplexity.csv")).find("\ntexts,tiny,reconstruction,100,shine,1,1.0,,1.0,,1.0,,1.0,\n"),
            std::string::npos);
}

TEST_F(JoinResults, PlotsAreDrawn) {
  if (run_command({"python3", "-c", "import matplotlib"}).status != 0) {
    const Outcome outcome = join({at("a"), "--output", at("out"), "--plots"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.err, "join_results: error: --plots needs matplotlib (pip install matplotlib)\n");
    return;
  }
  const Outcome outcome = join({at("a"), at("b"), "--output", at("out"), "--plots"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* name : {"f1-mqa-notes.png", "turns-notes-tiny.png", "reconstruction-texts-tiny.png"}) {
    EXPECT_EQ(read_bytes(folder_.path() / "out" / name).substr(1, 3), "PNG") << name;
  }
}

TEST_F(JoinResults, FaultsAreNamed) {
  const Outcome nothing = join({at("c")});
  EXPECT_EQ(nothing.status, 1);
  EXPECT_NE(nothing.err.find("no summary.json in it"), std::string::npos) << nothing.err;
  write_questions(folder_.path() / "d", 1, 0.5);
  const Outcome twice = join({at("a"), at("d")});
  EXPECT_EQ(twice.status, 1);
  EXPECT_NE(twice.err.find("two results of mqa / notes / tiny / naive with seed 1"), std::string::npos) << twice.err;
  write_bytes(folder_.path() / "e" / "summary.json", "{\"test\": 1}");
  const Outcome broken = join({at("e")});
  EXPECT_EQ(broken.status, 1);
  EXPECT_NE(broken.err.find("summary.json: not the summary of a test: KeyError"), std::string::npos) << broken.err;
}

}  // namespace
}  // namespace shine::test
