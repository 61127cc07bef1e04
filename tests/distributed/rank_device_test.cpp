#include "distributed/rank_device.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "shine/common/error.h"

namespace shine {
namespace {

Launch launch_of(int local_rank, int local_size, Launcher launcher = Launcher::mpirun) {
  Launch launch;
  launch.launcher = launcher;
  launch.local_rank = local_rank;
  launch.local_size = local_size;
  launch.rank = local_rank;
  launch.size = std::max(2, local_size);
  return launch;
}

/// OMP_NUM_THREADS for one test.
class Threads {
 public:
  explicit Threads(const char* value) {
    if (const char* before = std::getenv("OMP_NUM_THREADS")) before_ = before;
    set(value);
  }
  ~Threads() { set(before_ ? before_->c_str() : nullptr); }

 private:
  static void set(const char* value) {
    if (value == nullptr) {
      ::unsetenv("OMP_NUM_THREADS");
    } else {
      ::setenv("OMP_NUM_THREADS", value, /*overwrite=*/1);
    }
  }
  std::optional<std::string> before_;
};

TEST(RankDevice, RanksOnTheCpu) {
  EXPECT_EQ(rank_device("cpu", Launch{}), at::Device(at::kCPU));
  EXPECT_EQ(rank_device("cpu", launch_of(3, 4)), at::Device(at::kCPU));
  EXPECT_THROW(rank_device("gpu", launch_of(3, 4)), ConfigError);
  if (at::hasCUDA()) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_EQ(rank_device("auto", launch_of(3, 4)), at::Device(at::kCPU));
  EXPECT_THROW(rank_device("cuda", launch_of(1, 4)), UnsupportedError);
}

TEST(RankDevice, GpuOfALocalRank) {
  EXPECT_EQ(rank_gpu(launch_of(0, 4), 4), 0);
  EXPECT_EQ(rank_gpu(launch_of(3, 4), 4), 3);
  EXPECT_EQ(rank_gpu(launch_of(1, 2), 8), 1);
  EXPECT_EQ(rank_gpu(launch_of(3, 4, Launcher::srun), 1), 0) << "Slurm shows each task its own GPU as the only one";
  EXPECT_THROW(rank_gpu(launch_of(0, 3), 2), UnsupportedError);
}

TEST(RankDevice, Cores) {
  EXPECT_EQ(rank_cores(launch_of(0, 4), 64, 64), 16);
  EXPECT_EQ(rank_cores(launch_of(0, 2), 64, 8), 8) << "mpirun --map-by slot:PE=8";
  EXPECT_EQ(rank_cores(launch_of(0, 4), 64, 32), 16) << "mpirun binds to a socket that two ranks share";
  EXPECT_EQ(rank_cores(launch_of(0, 4), 64, 1), 1) << "mpirun binds to a core";
  EXPECT_EQ(rank_cores(launch_of(0, 4), 2, 2), 1) << "never none";
  EXPECT_EQ(rank_cores(launch_of(0, 4, Launcher::torchrun), 64, 64), 16);
  EXPECT_EQ(rank_cores(launch_of(0, 4, Launcher::srun), 64, 8), 8) << "a task's own";
  EXPECT_EQ(rank_cores(launch_of(0, 4, Launcher::srun), 64, 64), 16) << "srun without binding";
}

TEST(RankDevice, ThreadsThatSomebodySet) {
  {
    const Threads unset(nullptr);
    EXPECT_EQ(rank_threads(3, launch_of(0, 2)), 3);
    EXPECT_EQ(rank_threads(0, Launch{}), 0);
    EXPECT_GE(rank_threads(0, launch_of(0, 2)), 1);
    EXPECT_EQ(rank_threads(0, launch_of(0, 100000)), 1);
  }
  const Threads one("1");
  EXPECT_EQ(rank_threads(0, launch_of(0, 2)), 0);
  EXPECT_EQ(rank_threads(3, launch_of(0, 2)), 3);
}

}  // namespace
}  // namespace shine
