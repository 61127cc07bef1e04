// The contract of a process group, and its ends, with ranks that OpenMPI starts.
#include <gtest/gtest.h>

#include <chrono>

#include "integration/mpirun.h"
#include "support/skip.h"

namespace shine::test {
namespace {

using Clock = std::chrono::steady_clock;

class MpiGroup : public testing::Test {
 protected:
  /// A job of `ranks` ranks: one each of shine_test_rank MODE SECONDS DETAIL.
  static Outcome job(int ranks, const std::string& mode, double seconds, const std::string& detail) {
    std::vector<std::string> words =
        mpirun_arguments(ranks, "shine_test_rank", {mode, std::to_string(seconds), detail});
    words.insert(words.begin(), {"timeout", "-k", "5", "150", "mpirun"});
    return run_command(words);
  }

  void SetUp() override {
    if (run_command({"sh", "-c", "command -v mpirun"}).status != 0) SHINE_SKIP("mpi", "no mpirun on this machine");
    static const Outcome trial = job(2, "misbehave", 60, "does nothing wrong");
    if (trial.err.find("built without MPI") != std::string::npos) SHINE_SKIP("mpi", "built without MPI");
    ASSERT_EQ(trial.status, 0) << trial.err;
  }

  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  static int count(const std::string& text, const std::string& part) {
    int found = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
    return found;
  }
};

TEST_F(MpiGroup, KeepsTheContractForAnyNumberOfRanks) {
  for (const int ranks : {2, 3, 4}) {
    const Outcome outcome = job(ranks, "contract", 120, "1048576");
    EXPECT_EQ(outcome.status, 75) << ranks << " ranks: " << outcome.err;
    EXPECT_EQ(count(outcome.out, "MPI kept the contract"), ranks) << outcome.out << outcome.err;
  }
}

TEST_F(MpiGroup, KeepsTheContractInManyMessages) {
  const Outcome outcome = job(3, "contract", 120, "5003");
  EXPECT_EQ(outcome.status, 75) << outcome.err;
  EXPECT_EQ(count(outcome.out, "MPI kept the contract"), 3) << outcome.out << outcome.err;
}

TEST_F(MpiGroup, AStepIsTheSameWhateverARankDropsAndNobodyWaits) {
  for (const int ranks : {2, 3}) {
    const Outcome outcome = job(ranks, "steps", 20, "");
    EXPECT_EQ(outcome.status, 0) << ranks << " ranks: " << outcome.err;
  }
}

TEST_F(MpiGroup, ALateRankIsWaitedFor) {
  const Outcome outcome = job(3, "misbehave", 8, "comes late");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(MpiGroup, ARankThatDoesNotComeEndsTheJob) {
  const auto start = Clock::now();
  const Outcome outcome = job(2, "misbehave", 2, "does not come");
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("shine_test_rank: rank 0 of 2: error: this rank has waited 2 s for the other ranks"),
            std::string::npos)
      << outcome.err;
  EXPECT_LT(seconds_since(start), 30);
}

TEST_F(MpiGroup, ARankThatSleepsEndsTheJob) {
  const auto start = Clock::now();
  const Outcome outcome = job(3, "misbehave", 2, "sleeps");
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_NE(outcome.err.find(" of 3: error: this rank has waited 2 s for the other ranks"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(outcome.err.find("rank 1 of 3: error"), std::string::npos) << "it did not wait: " << outcome.err;
  EXPECT_LT(seconds_since(start), 30);
}

TEST_F(MpiGroup, AKilledRankEndsTheJob) {
  const auto start = Clock::now();
  const Outcome outcome = job(3, "misbehave", 600, "is killed");
  EXPECT_EQ(outcome.status, 137) << outcome.err;
  EXPECT_LT(seconds_since(start), 30);
}

TEST_F(MpiGroup, ARankThatThrowsEndsTheJobWithItsReason) {
  const auto start = Clock::now();
  const Outcome outcome = job(3, "misbehave", 600, "throws");
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_EQ(count(outcome.err, "shine_test_rank: rank 1 of 3: error: rank 1: bad luck\n"), 1) << outcome.err;
  EXPECT_LT(seconds_since(start), 30);
}

}  // namespace
}  // namespace shine::test
