#include "eval/qa/judge.h"

#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

std::vector<AnswerRecord> answers(std::size_t count, const std::string& raw = "x") {
  AnswerRecord record;
  record.method = Method::shine;
  record.item = "it's";
  record.raw = raw;
  return std::vector<AnswerRecord>(count, record);
}

std::string message(const std::string& command) {
  return test::fault_of<Error>([&] { judge_answers(command, answers(2)); });
}

TEST(Judge, ReadsAnswersAndWritesNumbers) {
  EXPECT_EQ(judge_answers("while read line; do echo ${#line}; done | sed 's/.*/0.5/'", answers(3)),
            (std::vector<double>{0.5, 0.5, 0.5}));
  EXPECT_EQ(judge_answers("grep -c it.s; echo ' -1e-3 '", answers(2)), (std::vector<double>{2, -0.001}));
  EXPECT_EQ(judge_answers("printf '1\\r\\n2'", answers(2)), (std::vector<double>{1, 2}));
  EXPECT_TRUE(judge_answers("cat", {}).empty());
}

TEST(Judge, LargeInputsDoNotBlock) {
  const auto many = answers(200, std::string(10'000, 'y'));
  EXPECT_EQ(judge_answers("sed 's/.*/1/'", many).size(), many.size());
  EXPECT_EQ(judge_answers("yes 1 | head -n 200", many).size(), many.size());  // reads nothing
}

TEST(Judge, FaultsAreNamed) {
  EXPECT_EQ(message("exit 3"), "evaluation.judge: the command ended with status 3");
  EXPECT_EQ(message("kill -9 $$"), "evaluation.judge: the command was ended by signal 9");
  EXPECT_EQ(message("no-such-command-here 2>/dev/null"), "evaluation.judge: the command ended with status 127");
  EXPECT_EQ(message("echo 1").find("evaluation.judge: expected 2 lines, found 1 ("), 0U) << message("echo 1");
  EXPECT_EQ(message("seq 3").find("evaluation.judge: expected 2 lines, found 3 ("), 0U);
  EXPECT_EQ(message("echo 1; echo good").find("evaluation.judge: line 2: expected a number, found \"good\""), 0U);
  EXPECT_EQ(message("echo 1; echo").find("evaluation.judge: line 2: expected a number, found \"\""), 0U);
  EXPECT_EQ(message("echo 1; echo nan").find("evaluation.judge: line 2: expected a number"), 0U);
  EXPECT_EQ(message("yes | head -c 100000").find("evaluation.judge: the command wrote more than"), 0U);
}

TEST(Judge, ScoresAreWrittenByAnswer) {
  EXPECT_EQ(judge_text(answers(1), {0.25}),
            "{\"method\":\"shine\",\"item\":\"it's\",\"conversation\":0,\"turn\":0,\"judge\":0.25}\n");
}

}  // namespace
}  // namespace shine
