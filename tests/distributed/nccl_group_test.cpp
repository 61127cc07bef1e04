// The contract of a process group on GPUs: with one rank, and with one on each of two.
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "integration/mpirun.h"
#include "support/skip.h"

namespace shine::test {
namespace {

class NcclGroup : public testing::Test {
 protected:
  static void require_gpus(std::size_t gpus) {
    if (!at::hasCUDA()) SHINE_SKIP("gpu", "there is no GPU");
    if (at::getNumGPUs() < gpus) GTEST_SKIP() << "needs " << gpus << " GPUs";
  }

  static void expect_kept(std::vector<std::string> words) {
    words.insert(words.begin(), {"timeout", "-k", "5", "150"});
    const Outcome outcome = run_command(words);
    EXPECT_EQ(outcome.status, 75) << outcome.err;
    EXPECT_NE(outcome.out.find("NCCL kept the contract"), std::string::npos) << outcome.out << outcome.err;
  }
};

TEST_F(NcclGroup, OneRankKeepsTheContract) {
  require_gpus(1);
  if (!IsSkipped()) expect_kept({(bin_dir() / "shine_test_rank").string(), "gpu", "60", "-"});
}

TEST_F(NcclGroup, TwoRanksKeepTheContract) {
  require_gpus(2);
  if (IsSkipped() || HasFatalFailure()) return;
  if (run_command({"sh", "-c", "command -v mpirun"}).status != 0) SHINE_SKIP("mpi", "no mpirun on this machine");
  std::vector<std::string> words = mpirun_arguments(2, "shine_test_rank", {"gpu", "60", "-"});
  words.insert(words.begin(), "mpirun");
  expect_kept(words);
}

}  // namespace
}  // namespace shine::test
