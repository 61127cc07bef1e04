#include "app/train/describe_plan.h"

#include <gtest/gtest.h>

namespace shine::test {
namespace {

/// Samples of 10, 11, 12, .. tokens.
class CountedSamples : public Dataset {
 public:
  explicit CountedSamples(std::size_t size) : size_(size) {}
  std::size_t size() const override { return size_; }
  Sample sample(std::int64_t, std::size_t) const override { return {}; }
  std::int64_t tokens(std::size_t index) const override { return 10 + static_cast<std::int64_t>(index); }

 private:
  std::size_t size_;
};

TEST(DescribePlan, SaysSamplesStepsTokensAndRate) {
  ExperimentConfig config;
  config.optimizer.batch_size = 2;
  config.optimizer.accumulation = 3;
  config.optimizer.learning_rate = 1e-3;
  config.schedule.epochs = 4;
  config.schedule.warmup_steps = 2;
  config.schedule.final_ratio = 0.1;
  // 7 samples of 10 to 16 tokens: 91; ceil(ceil(7 / 2) / 3) = 2 steps.
  const CountedSamples samples(7);
  EXPECT_EQ(describe_plan(config, samples),
            "an epoch: 7 samples of about 13 tokens, context and conversation together, 91 in all\n"
            "a step: 6 samples (3 micro-batches of 2)\n"
            "the run: 2 steps an epoch, 4 epochs, 8 steps, about 364 tokens\n"
            "learning rate: rises to 0.001 in 2 warm-up steps, 25 % of the schedule, then falls (linear) to 0.0001\n");
}

TEST(DescribePlan, SaysWhatEndsTheRunEarlier) {
  ExperimentConfig config;
  config.optimizer.batch_size = config.optimizer.accumulation = 1;
  config.optimizer.learning_rate = 1e-3;
  config.schedule.epochs = 1;
  config.schedule.warmup_steps = 5;
  config.run.max_steps = 4;
  const std::string text = describe_plan(config, CountedSamples(10));
  for (const char* line : {"a step: 1 sample (1 micro-batch of 1)\n",
                           "the run: 10 steps an epoch, 1 epoch, 10 steps, about 145 tokens; it ends after step 4 "
                           "(run.max_steps)\n",
                           "learning rate: rises to 0.001 in 5 warm-up steps, 50 % of the schedule, which the run ends "
                           "before (lower schedule.warmup_steps, or train longer)\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << " is not in\n" << text;
  }
  config.schedule.warmup_steps = 0;
  EXPECT_NE(describe_plan(config, CountedSamples(10)).find("learning rate: begins at 0.001 and falls (linear) to 0\n"),
            std::string::npos);
}

}  // namespace
}  // namespace shine::test
