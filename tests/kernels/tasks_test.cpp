#include "kernels/cpu/tasks.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

namespace shine::test {
namespace {

/// A number of LibTorch's threads while it lives.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

TEST(Tasks, RunOnSeveralThreadsAtATime) {
  const Threads threads(3);
  ASSERT_EQ(cpu::workers(100), 3);
  // Each task waits until the others have begun: on fewer threads than three they never all have.
  std::atomic<int> begun{0}, together{0};
  cpu::run_tasks(3, [&](std::int64_t /*task*/, std::int64_t /*worker*/) {
    ++begun;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (begun < 3 && together == 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    if (begun == 3) ++together;
  });
  EXPECT_EQ(together, 3);
}

TEST(Tasks, EachRunsOnceWithAWorkerOfItsOwn) {
  for (const int count : {0, 1, 2, 5, 1000}) {
    for (const int threads : {1, 2, 4}) {
      const Threads guard(threads);
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count)), busy(static_cast<std::size_t>(threads));
      std::atomic<int> collisions{0};
      cpu::run_tasks(count, [&](std::int64_t task, std::int64_t worker) {
        if (busy[static_cast<std::size_t>(worker)].fetch_add(1) != 0) ++collisions;
        ++runs[static_cast<std::size_t>(task)];
        --busy[static_cast<std::size_t>(worker)];
      });
      for (const auto& times : runs) EXPECT_EQ(times, 1);
      EXPECT_EQ(collisions, 0);
    }
  }
}

TEST(Tasks, StayOnOneThreadInsideOthers) {
  const Threads threads(2);
  cpu::parallel_for(0, 2, 1, [](std::int64_t, std::int64_t) { EXPECT_EQ(cpu::workers(7), 1); });
}

TEST(Tasks, PassOnWhatTheyThrow) {
  const Threads threads(2);
  EXPECT_THROW(cpu::run_tasks(4, [](std::int64_t, std::int64_t) { throw std::runtime_error("fault"); }),
               std::runtime_error);
}

}  // namespace
}  // namespace shine::test
