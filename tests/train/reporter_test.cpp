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

}  // namespace
}  // namespace shine::test
