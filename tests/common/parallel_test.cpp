#include "common/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace shine {
namespace {

TEST(ParallelFor, CallsTheBodyOnceForEachItem) {
  for (const std::size_t count : {0U, 1U, 31U, 32U, 33U, 5000U}) {
    for (const int threads : {0, 1, 3}) {
      std::vector<std::atomic<int>> calls(count);
      parallel_for(count, threads, [&](std::size_t i) { ++calls[i]; });
      for (const auto& n : calls) EXPECT_EQ(n, 1);
    }
  }
}

TEST(ParallelFor, ReportsProgressOnTheCallersThreadAndTheEnd) {
  std::vector<std::size_t> reports;
  const auto caller = std::this_thread::get_id();
  parallel_for(
      1000, 2, [](std::size_t) {},
      [&](std::size_t done, std::size_t total) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        EXPECT_EQ(total, 1000U);
        reports.push_back(done);
      });
  ASSERT_FALSE(reports.empty());
  EXPECT_TRUE(std::ranges::is_sorted(reports));
  EXPECT_EQ(reports.back(), 1000U);
}

TEST(ParallelFor, ThrowsWhatABodyThrows) {
  for (const int threads : {1, 3}) {
    const auto fail_late = [](std::size_t i) {
      if (i == 777) throw std::out_of_range("item 777");
    };
    EXPECT_THROW(parallel_for(1000, threads, fail_late), std::out_of_range);
  }
}

}  // namespace
}  // namespace shine
