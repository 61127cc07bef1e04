#include "common/stop_signals.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>

#include "common/process_label.h"

namespace shine::test {
namespace {

TEST(StopSignalsTest, WhileNothingIsToBeSavedTheyEndTheProcessAtOnce) {
  const auto body = [](int number) {
    const StopSignals signals;
    ::raise(number);
    std::_Exit(0);
  };
  EXPECT_EXIT(body(SIGTERM), testing::ExitedWithCode(75), "stopped before training began");
  EXPECT_EXIT(body(SIGINT), testing::ExitedWithCode(75), "stopped before training began");
}

TEST(StopSignalsTest, HeldTheFirstIsNotedAndTheSecondEnds) {
  {
    StopSignals signals;
    signals.hold();
    EXPECT_EQ(signals.received(), "");
    ::raise(SIGINT);
    EXPECT_EQ(signals.received(), "SIGINT");
  }
  const auto body = [] {
    StopSignals signals;
    signals.hold();
    ::raise(SIGTERM);
    ::raise(SIGTERM);
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), testing::KilledBySignal(SIGTERM), "stopping after this step");
}

TEST(StopSignalsTest, WhatLaunchersHandOnIsARequestToStop) {
  StopSignals signals;
  signals.hold();
  ::raise(SIGUSR1);
  EXPECT_EQ(signals.received(), "SIGUSR1");
}

TEST(StopSignalsTest, OneProcessOfAJobSpeaksForAll) {
  for (const bool first : {false, true}) {
    const auto body = [first] {
      set_process_label("rank 1 of 2", first);
      const StopSignals signals;
      ::raise(SIGUSR1);
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(75), first ? "stopped before" : "^$");
  }
}

TEST(StopSignalsTest, AHangUpCountsUnlessItIsIgnored) {
  for (const bool ignored : {false, true}) {
    const auto former = ::signal(SIGHUP, ignored ? SIG_IGN : SIG_DFL);
    {
      StopSignals signals;
      signals.hold();
      ::raise(SIGHUP);
      EXPECT_EQ(signals.received(), ignored ? "" : "SIGHUP");
    }
    ::signal(SIGHUP, former);
  }
}

TEST(StopSignalsTest, AfterwardsTheFormerHandlingIsBack) {
  {
    StopSignals signals;
    signals.hold();
  }
  EXPECT_EXIT(::raise(SIGTERM), testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace shine::test
