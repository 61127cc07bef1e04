// Ranks that watch each other through a store, as processes without a launcher that would end them.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "integration/run_program.h"
#include "support/free_port.h"

namespace shine::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kSilence = "4";

/// One process for each rank.
class Job {
 public:
  /// What each rank does once it has joined.
  explicit Job(const std::vector<std::string>& acts) {
    const std::string size = std::to_string(acts.size()), port = std::to_string(free_port());
    for (std::size_t rank = 0; rank < acts.size(); ++rank) {
      const std::string number = std::to_string(rank);
      set("RANK", number);
      set("LOCAL_RANK", number);
      set("WORLD_SIZE", size);
      set("LOCAL_WORLD_SIZE", size);
      set("MASTER_ADDR", "127.0.0.1");
      set("MASTER_PORT", port);
      const std::vector<std::string> words{"watch", kSilence, acts[rank]};
      ranks_.push_back(std::make_unique<BackgroundProgram>("shine_test_rank", words));
    }
    for (const char* name : {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) {
      ::unsetenv(name);
    }
  }

  /// 137 where the rank had to be killed, or killed itself.
  int status(std::size_t rank) {
    while (ranks_[rank]->running() && seconds() < 60) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (ranks_[rank]->running()) ranks_[rank]->signal(SIGKILL);
    return ranks_[rank]->wait();
  }
  std::string err(std::size_t rank) { return ranks_[rank]->err(); }
  BackgroundProgram& rank(std::size_t rank) { return *ranks_[rank]; }
  std::size_t size() const { return ranks_.size(); }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), /*overwrite=*/1); }

  Clock::time_point start_ = Clock::now();
  std::vector<std::unique_ptr<BackgroundProgram>> ranks_;
};

/// `rank` ended with status 1 and this one fault.
void expect_end(Job& job, std::size_t rank, const std::string& fault) {
  EXPECT_EQ(job.status(rank), 1) << rank << ": " << job.err(rank);
  EXPECT_EQ(job.err(rank), "shine_test_rank: rank " + std::to_string(rank) + " of " + std::to_string(job.size()) +
                               ": error: " + fault + "\n");
}

TEST(FailureWatch, AnOrderlyEndIsSilent) {
  for (const std::vector<std::string>& acts : {std::vector<std::string>{"works", "works", "works"},
                                               {"leaves late", "works", "works"},
                                               {"works", "leaves late", "works"},
                                               {"works"}}) {
    Job job(acts);
    for (std::size_t rank = 0; rank < job.size(); ++rank) {
      EXPECT_EQ(job.status(rank), 0);
      EXPECT_EQ(job.err(rank), "");
    }
  }
}

TEST(FailureWatch, TheReasonOfARankReachesAll) {
  Job job({"hangs", "fails", "hangs", "hangs"});
  expect_end(job, 1, "run.dir: the disk is full");
  for (const std::size_t rank : {0, 2, 3}) {
    expect_end(job, rank, "ends with the job: rank 1: the disk is full");
  }
  EXPECT_LT(job.seconds(), 20);
}

TEST(FailureWatch, TheReasonOfTheRankThatServesTheStoreReachesAll) {
  Job job({"fails", "hangs", "hangs"});
  for (const std::size_t rank : {1, 2}) {
    expect_end(job, rank, "ends with the job: rank 0: the disk is full");
  }
  expect_end(job, 0, "run.dir: the disk is full");
}

TEST(FailureWatch, AFaultThatTheWatchFindsEndsTheJob) {
  for (const std::size_t bad : {0, 2}) {
    std::vector<std::string> acts(3, "hangs");
    acts[bad] = "finds a fault";
    Job job(acts);
    for (std::size_t rank = 0; rank < 3; ++rank) {
      expect_end(job, rank,
                 (rank == bad ? "" : "ends with the job: rank " + std::to_string(bad) + ": ") + "a device is lost");
    }
  }
}

TEST(FailureWatch, AKilledRankIsMissed) {
  Job job({"hangs", "hangs", "is killed"});
  EXPECT_EQ(job.status(2), 137);
  for (const std::size_t rank : {0, 1}) {
    expect_end(job, rank, "ends with the job: rank 2: no sign of life for 4 s");
  }
  EXPECT_LT(job.seconds(), 20);
}

TEST(FailureWatch, AKilledRankZeroTakesTheStoreAlong) {
  Job job({"is killed", "hangs", "hangs"});
  EXPECT_EQ(job.status(0), 137);
  for (const std::size_t rank : {1, 2}) {
    expect_end(job, rank, "lost the connection to rank 0 (what it wrote last says why)");
  }
  EXPECT_LT(job.seconds(), 20);
}

TEST(FailureWatch, AStoreThatDoesNotAnswerIsLost) {
  Job job({"stops", "hangs"});
  expect_end(job, 1, "lost the connection to rank 0 (what it wrote last says why)");
  EXPECT_TRUE(job.rank(0).running());
  EXPECT_LT(job.seconds(), 20);
}

TEST(FailureWatch, ARankThatFailsBeforeTheStartIsNotWaitedFor) {
  for (const std::size_t bad : {0, 1}) {
    std::vector<std::string> acts(3, "works");
    acts[bad] = "fails before the start";
    Job job(acts);
    for (std::size_t rank = 0; rank < 3; ++rank) {
      expect_end(job, rank,
                 (rank == bad ? "" : "ends with the job: rank " + std::to_string(bad) + ": ") + "a.yaml: unknown key");
    }
    EXPECT_LT(job.seconds(), 20);
  }
}

TEST(FailureWatch, RanksThatAllFailBeforeTheStartDoNotWaitForEachOther) {
  Job job({"fails before the start", "fails before the start", "fails before the start"});
  for (std::size_t rank = 0; rank < 3; ++rank) expect_end(job, rank, "a.yaml: unknown key");
  EXPECT_LT(job.seconds(), 10);
}

TEST(FailureWatch, ARankThatFailsWhereNobodyServesTheStoreSaysItsOwnFaultSoon) {
  Job job({"is killed early", "fails before the start"});
  EXPECT_EQ(job.status(0), 137);
  expect_end(job, 1, "a.yaml: unknown key");
  EXPECT_LT(job.seconds(), 20);
}

TEST(FailureWatch, ARankThatDoesNotJoinIsNotWaitedForLongerThanTheTimeOut) {
  const int port = free_port();
  const Outcome outcome = run_command({"env", "RANK=0", "WORLD_SIZE=2", "LOCAL_RANK=0", "LOCAL_WORLD_SIZE=2",
                                       "MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + std::to_string(port),
                                       (bin_dir() / "shine_test_rank").string(), "watch", "0.1", "works"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find(": only 1 ranks came in time (start all ranks with the same MASTER_ADDR"),
            std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace shine::test
