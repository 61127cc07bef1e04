#include "optim/lr_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace shine {
namespace {

constexpr double kPeak = 3e-4;

ScheduleConfig schedule(ScheduleKind kind, std::int64_t warmup, double final_ratio = 0.0) {
  ScheduleConfig config;
  config.kind = kind;
  config.warmup_steps = warmup;
  config.final_ratio = final_ratio;
  return config;
}

/// The rate as a share of the peak.
double share(const ScheduleConfig& config, std::int64_t step, std::int64_t total) {
  return learning_rate_at(config, kPeak, step, total) / kPeak;
}

TEST(LearningRate, WarmsUpFromZero) {
  for (const auto kind : {ScheduleKind::linear, ScheduleKind::cosine}) {
    const ScheduleConfig config = schedule(kind, 4);
    for (std::int64_t step = 0; step <= 4; ++step) {
      EXPECT_DOUBLE_EQ(share(config, step, 24), 0.25 * static_cast<double>(step)) << step;
    }
  }
}

TEST(LearningRate, LinearDecayReachesZeroAtTheEnd) {
  const ScheduleConfig config = schedule(ScheduleKind::linear, 4);
  EXPECT_DOUBLE_EQ(share(config, 5, 24), 0.95);
  EXPECT_DOUBLE_EQ(share(config, 14, 24), 0.5);
  EXPECT_DOUBLE_EQ(share(config, 23, 24), 0.05);
  EXPECT_EQ(share(config, 24, 24), 0.0);
  EXPECT_EQ(share(config, 1000, 24), 0.0);
}

TEST(LearningRate, CosineDecay) {
  const ScheduleConfig config = schedule(ScheduleKind::cosine, 4);
  for (std::int64_t step = 4; step <= 24; ++step) {
    const double done = static_cast<double>(step - 4) / 20.0;
    EXPECT_NEAR(share(config, step, 24), 0.5 * (1.0 + std::cos(std::numbers::pi * done)), 1e-12) << step;
  }
}

TEST(LearningRate, FinalRatioIsTheLastRate) {
  for (const auto kind : {ScheduleKind::linear, ScheduleKind::cosine}) {
    const ScheduleConfig config = schedule(kind, 4, 0.1);
    EXPECT_DOUBLE_EQ(share(config, 4, 24), 1.0);
    EXPECT_NEAR(share(config, 14, 24), 0.55, 1e-12);
    EXPECT_DOUBLE_EQ(share(config, 24, 24), 0.1);
    EXPECT_EQ(share(config, 0, 24), 0.0);
  }
}

TEST(LearningRate, WithoutWarmupStartsAtThePeak) {
  EXPECT_DOUBLE_EQ(share(schedule(ScheduleKind::linear, 0), 0, 10), 1.0);
  EXPECT_DOUBLE_EQ(share(schedule(ScheduleKind::linear, 0), 1, 10), 0.9);
}

TEST(LearningRate, FewerStepsThanWarmup) {
  const ScheduleConfig config = schedule(ScheduleKind::linear, 8);
  EXPECT_EQ(share(config, 0, 3), 0.0);
  EXPECT_DOUBLE_EQ(share(config, 2, 3), 0.25);
  EXPECT_DOUBLE_EQ(share(config, 7, 3), 0.875);
  EXPECT_EQ(share(config, 8, 3), 0.0);
  EXPECT_DOUBLE_EQ(share(config, 4, 8), 0.5);
  EXPECT_EQ(share(schedule(ScheduleKind::cosine, 0), 0, 0), 0.0);
}

}  // namespace
}  // namespace shine
