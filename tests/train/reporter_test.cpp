#include "train/reporter.h"

#include <gtest/gtest.h>

#include "support/paths.h"
#include "support/tensor_match.h"
#include "support/thread_group.h"
#include "train/tiny_trainer.h"

namespace shine::test {
namespace {

struct Reporting {
  TemporaryFolder folder;
  Stage stage;
  TrainerOptions options = options_for(folder.path());
  AdamW optimizer{{{"all", 0.0, {"w"}, {leaf(at::ones({3}))}}}, options.optimizer};

  Reporting() { stage.train = std::make_shared<TinyDataset>(18); }

  Reporter reporter(const std::string& lines = "") { return {stage, options, optimizer, /*last_step=*/5, lines}; }
};

StepResult step_of(double loss) {
  StepResult result;
  result.loss = loss;
  result.tokens = 10;
  result.norms.group_norms = {0.5};
  result.norms.tensor_norms = {{0.5}};
  return result;
}

TEST(Reporter, WritesEveryNthStepAndTheLast) {
  Reporting run;
  run.options.logging.every_steps = 3;
  Reporter reporter = run.reporter();
  TrainProgress progress;
  for (progress.step = 1; progress.step <= 5; ++progress.step) {
    reporter.step(progress, /*epoch=*/0, step_of(2.0), 1e-3, 0.5);
  }
  const auto events = metrics(run.folder.path(), "train");
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].at("step"), 3);
  EXPECT_EQ(events[1].at("step"), 5);
  EXPECT_EQ(events[0].at("learning_rate"), 1e-3);
  EXPECT_EQ(events[0].at("tokens_per_second"), 20.0);
  EXPECT_EQ(events[0].at("gradient_norms").at("all"), 0.5);
  EXPECT_FALSE(events[0].contains("adapter_penalty")) << "there is none";
}

TEST(Reporter, CountsOfTheDataOpenANewRunAlone) {
  Reporting run;
  run.stage.data_counts = {{"train", {{"samples", 18}, {"dropped", 2}}}};
  TrainProgress progress;
  const std::string lines = [&] {
    Reporter reporter = run.reporter();
    reporter.start(progress);
    return reporter.lines();
  }();
  const auto events = metrics(run.folder.path(), "data");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].at("set"), "train");
  EXPECT_EQ(events[0].at("dropped"), 2);
  progress.step = 2;
  Reporter resumed = run.reporter(lines);
  resumed.start(progress);
  EXPECT_EQ(resumed.lines(), lines);
}

TEST(Reporter, OtherRanksThanTheFirstWriteNothing) {
  Reporting run;
  run_ranks(2, [&](ProcessGroup& group) {
    const AdamW optimizer({{"all", 0.0, {"w"}, {leaf(at::ones({3}))}}}, run.options.optimizer, shared(group));
    Reporter reporter(run.stage, run.options, optimizer, /*last_step=*/5, "");
    reporter.validation(4, {"held out", 2.0, 7, 3});
    EXPECT_EQ(reporter.lines().empty(), !group.is_first());
  });
  const auto events = metrics(run.folder.path(), "validation");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].at("loss"), 2.0);
}

/// What start() logs for a run from `from` to step 5.
std::string said_at_start(const ScheduleConfig& schedule, std::int64_t total_steps, std::int64_t from = 0) {
  Reporting run;
  run.options.schedule = schedule;
  run.options.optimizer.learning_rate = 0.5;
  Reporter reporter = run.reporter();
  TrainProgress progress;
  progress.step = from;
  progress.total_steps = total_steps;
  testing::internal::CaptureStderr();
  reporter.start(progress);
  return testing::internal::GetCapturedStderr();
}

TEST(Reporter, AWarmUpAsLongAsTheRunIsAWarningBeforeTheFirstStep) {
  EXPECT_EQ(said_at_start({.warmup_steps = 4}, 5).find("warning"), std::string::npos)
      << "the fifth has the peak's rate";
  const std::string text = said_at_start({.warmup_steps = 10}, 5);
  EXPECT_NE(text.find("warning schedule.warmup_steps is 10 and the run ends after step 5: the learning rate comes to "
                      "0.2, not to optimizer.learning_rate, 0.5 (lower schedule.warmup_steps, or make the run longer)"),
            std::string::npos)
      << text;
  EXPECT_EQ(said_at_start({.warmup_steps = 10}, 5, /*from=*/5).find("warning"), std::string::npos) << "nothing to do";
}

TEST(Reporter, ARunWhoseStepsHaveRateZeroIsAWarning) {
  Reporting run;
  run.options.schedule = {.warmup_steps = 1};
  Reporter reporter(run.stage, run.options, run.optimizer, /*last_step=*/1, "");
  TrainProgress progress;
  progress.total_steps = 40;
  testing::internal::CaptureStderr();
  reporter.start(progress);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("warning the only step to do has learning rate 0: nothing is trained (schedule.warmup_steps is 1 "
                      "of a schedule of 40 steps: lower it, or make the run longer)"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace shine::test
