// scripts/crash_test.sh, with few kills: that it ends well with this program, and that it can end badly.
#include <gtest/gtest.h>

#include "integration/run_program.h"
#include "support/skip.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class CrashTest : public testing::Test {
 protected:
  void SetUp() override {
    if (run_command({"python3", "--version"}).status != 0) GTEST_SKIP() << "no python3";
  }

  Outcome crash(const fs::path& programs, const std::string& kills, const std::string& processes) const {
    return run_command({"env", "SHINE_BIN=" + programs.string(), "scripts/crash_test.sh", kills, "--seed", "3",
                        "--steps", "24", "--dir", folder_.path().string(), "--processes", processes});
  }

  TemporaryFolder folder_;
};

TEST_F(CrashTest, EndsAreEqualHoweverARunIsKilled) {
  const Outcome outcome = crash(bin_dir(), "4", "1");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("1 process: 4 kills, "), std::string::npos) << outcome.out;
  EXPECT_EQ(read_bytes(folder_.path() / "kills.txt"), outcome.out);
  EXPECT_FALSE(fs::exists(folder_.path() / "work"));
}

TEST_F(CrashTest, EndsAreEqualWhicheverProcessOfTwoRanksIsKilled) {
  if (run_command({"mpirun", "--version"}).out.find("Open MPI") == std::string::npos) SHINE_SKIP("mpi", "no OpenMPI");
  const Outcome outcome = crash(bin_dir(), "3", "2");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  if (outcome.out.find("was built without MPI") != std::string::npos) SHINE_SKIP("mpi", "built without MPI");
  EXPECT_NE(outcome.out.find("2 ranks: 3 kills, "), std::string::npos) << outcome.out;
}

TEST_F(CrashTest, ADifferenceIsNamed) {
  const fs::path program = folder_.path() / "bin" / "shine_train";
  write_bytes(program, "#!/usr/bin/env bash\n[[ $* == *whole* ]] || set -- \"$@\" logging.every_steps=2\nexec " +
                           quoted((bin_dir() / "shine_train").string()) + " \"$@\"\n");
  fs::permissions(program, fs::perms::owner_all);
  const Outcome outcome = crash(program.parent_path(), "1", "1");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("differs from "), std::string::npos) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("metrics.jsonl: "), std::string::npos) << outcome.out;
  EXPECT_TRUE(fs::exists(folder_.path() / "work"));
}

}  // namespace
}  // namespace shine::test
