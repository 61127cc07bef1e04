#include "common/interrupts.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <thread>

namespace shine::test {
namespace {

bool is_readable(int descriptor) {
  pollfd waited{descriptor, POLLIN, 0};
  return ::poll(&waited, 1, /*timeout=*/0) == 1;
}

TEST(InterruptsTest, AreNotedOnceEachTimeTheyAreTaken) {
  Interrupts interrupts;
  EXPECT_FALSE(interrupts.take());
  EXPECT_FALSE(is_readable(interrupts.descriptor()));
  for (int again = 0; again < 2; ++again) {
    ::raise(SIGINT);
    ::raise(SIGINT);
    EXPECT_TRUE(is_readable(interrupts.descriptor()));
    EXPECT_TRUE(interrupts.take());
    EXPECT_FALSE(interrupts.take());
    EXPECT_FALSE(is_readable(interrupts.descriptor()));
  }
}

TEST(InterruptsTest, WakeTheWaitingThreadWhicheverTheyArriveIn) {
  Interrupts interrupts;
  std::thread other([] { ::raise(SIGINT); });
  pollfd waited{interrupts.descriptor(), POLLIN, 0};
  while (::poll(&waited, 1, /*timeout=*/-1) < 0) {
  }
  other.join();
  EXPECT_TRUE(interrupts.take());
}

TEST(InterruptsTest, EndTheProcessAgainWhenTheObjectIsGone) {
  const auto body = [] {
    { const Interrupts interrupts; }
    ::raise(SIGINT);
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace shine::test
