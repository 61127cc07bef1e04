#include "distributed/watchdog.h"

#include <gtest/gtest.h>

#include <chrono>

namespace shine {
namespace {

using Clock = std::chrono::steady_clock;

void sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

class WatchdogDeathTest : public testing::Test {
  // A child that starts anew: forking a process with threads would keep their locks.
  void SetUp() override { testing::GTEST_FLAG(death_test_style) = "threadsafe"; }
};

TEST_F(WatchdogDeathTest, AWaitThatIsTooLongEndsTheProcess) {
  const auto wait = [] {
    Watchdog watchdog(0.2, collective_timeout_fault(0.2));
    const Watchdog::Guard guard(watchdog);
    sleep_for(60);
  };
  const auto start = Clock::now();
  EXPECT_EXIT(wait(), testing::ExitedWithCode(1), "^error: this rank has waited 0.2 s for the other ranks .*\n$");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(20));
}

TEST(Watchdog, WaitsWithinTheLimitDoNotAddUp) {
  Watchdog watchdog(0.5, "not said");
  for (int i = 0; i < 6; ++i) {
    const Watchdog::Guard guard(watchdog);
    sleep_for(0.15);
  }
  sleep_for(0.6);  // work of its own, which has no limit
}

TEST(Watchdog, EndsAtOnce) {
  const auto start = Clock::now();
  { const Watchdog watchdog(600, "not said"); }
  EXPECT_LT(Clock::now() - start, std::chrono::milliseconds(500));
}

}  // namespace
}  // namespace shine
