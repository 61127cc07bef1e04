#include "app/train/describe_time.h"

#include <gtest/gtest.h>

namespace shine::test {
namespace {

TEST(DescribeTime, TheMeanStepIsOfSecondsAndOfTokens) {
  const StepTime mean = mean_step({{1.0, 100}, {2.0, 200}, {6.0, 303}});
  EXPECT_DOUBLE_EQ(mean.seconds, 3.0);
  EXPECT_EQ(mean.tokens, 201);
}

TEST(DescribeTime, SaysRateHoursAndTheTable) {
  const StageTime time{
      "cuda:0", 2, 1, {{1.0, 1000}, {2.0, 1600}, {1.5, 1000}}, {{256, 1150, {0.75, 3000}}, {512, 1150, {1.0, 5000}}}};
  // 1.5 s a step and 1200 tokens; 4800 steps are two hours.
  EXPECT_EQ(describe_time(time, 4800),
            "timed on cuda:0, 2 processes, 3 steps after 1 to warm up: 1.5 s a step (1 to 2), 800 tokens/s\n"
            "the run: 4800 steps take about 2 hours, validation and checkpoints aside\n"
            "steps in which all samples have the same length:\n"
            "  context tokens  conversation tokens     s a step     tokens/s\n"
            "             256                 1150         0.75         4000\n"
            "             512                 1150            1         5000\n");
}

TEST(DescribeTime, AStageWithoutContextsHasADash) {
  const std::string text = describe_time({"cpu", 1, 1, {{0.5, 10}}, {{0, 64, {0.5, 10}}}}, 1);
  EXPECT_NE(text.find("timed on cpu, 1 process, 1 step after 1 to warm up: "), std::string::npos) << text;
  EXPECT_NE(text.find("the run: 1 step takes about 0.000139 hours"), std::string::npos) << text;
  EXPECT_NE(text.find("\n               -                   64          0.5           20\n"), std::string::npos)
      << text;
}

}  // namespace
}  // namespace shine::test
