// The launching scripts with the real program.
#include <gtest/gtest.h>

#include "integration/mpirun.h"
#include "integration/tiny_run.h"
#include "support/skip.h"

namespace shine::test {
namespace {

/// Runs a script for a model `tiny`, whose pretraining is that of a tiny run.
Outcome launch(const TinyRun& tiny, const std::string& script, const std::vector<std::string>& arguments,
               const std::vector<std::string>& environment = {}) {
  write_bytes(tiny.folder() / "configs/tiny/pretrain.yaml", "base: ../../pretrain.yaml\n");
  std::vector<std::string> words{"env",
                                 "SHINE_BIN=" + bin_dir().string(),
                                 "SHINE_CONFIGS=" + tiny.file("configs"),
                                 "SHINE_RUNS=" + tiny.file("runs"),
                                 "SHINE_THREADS=",
                                 "RANKS="};
  words.insert(words.end(), environment.begin(), environment.end());
  words.insert(words.end(), {"scripts/" + script + ".sh", "tiny"});
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_command(words);
}

TEST(LaunchRun, TheSameCommandGoesOnAndAFaultStopsTheChain) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train_backbone().status, 0);
  const Outcome wrong = launch(tiny, "all", {"optimizer.learning_rate=-1"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_NE(wrong.err.find("optimizer.learning_rate"), std::string::npos) << wrong.err;
  EXPECT_NE(wrong.err.find("stage pretrain failed with status 1"), std::string::npos) << wrong.err;
  EXPECT_FALSE(std::filesystem::exists(tiny.file("runs")));

  const Outcome first = launch(tiny, "pretrain", {"run.max_steps=2"});
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_TRUE(std::filesystem::exists(tiny.file("runs/tiny/pretrain/checkpoints/step-2/DONE")));
  const Outcome second = launch(tiny, "pretrain", {"run.max_steps=4"});
  EXPECT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(second.err.find("step 2/4"), std::string::npos);
  EXPECT_NE(second.err.find("step 4/4"), std::string::npos) << second.err;
}

TEST(LaunchRun, ATestGoesOnWithAnotherNumberOfRanks) {
  const std::string obstacle = obstacle_to_ranks();
  if (!obstacle.empty()) SHINE_SKIP("mpi", obstacle);
  const TinyRun tiny;
  ASSERT_EQ(tiny.train_backbone().status, 0);
  const Outcome trained = launch(tiny, "pretrain", {"run.max_steps=2"}, {"RANKS=2"});
  if (trained.err.find("built without MPI") != std::string::npos) SHINE_SKIP("mpi", "programs without MPI");
  ASSERT_EQ(trained.status, 0) << trained.err;
  const Outcome more = launch(tiny, "pretrain", {"run.max_steps=3"});
  ASSERT_EQ(more.status, 0) << more.err;
  const std::vector<std::string> options{"evaluation.data=[" + tiny.file("texts.txt") + "]", "evaluation.limit=2",
                                         "evaluation.buckets.first=4", "evaluation.buckets.last=10",
                                         "evaluation.buckets.step=3"};
  for (const char* ranks : {"2", "1"}) {
    const Outcome tested = launch(tiny, "evaluate", options, {std::string("RANKS=") + ranks});
    EXPECT_EQ(tested.status, 0) << tested.err;
  }
}

TEST(LaunchRun, ADryRunOfSeveralMachinesPlacesEveryRank) {
  for (const auto& [script, local_size] : {std::pair{"torchrun", 3}, {"slurm", 8}}) {
    const Outcome outcome = run_command({"env", "SHINE_BIN=" + bin_dir().string(), "MASTER=first:29500", "NODES=2",
                                         "RANKS=3", std::string("scripts/multi_node/") + script + ".sh", "--dry-run",
                                         "configs/tiny-text/pretrain.yaml"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const std::vector<std::string> lines = lines_of(outcome.out);
    const int size = 2 * local_size;
    ASSERT_EQ(lines.size(), static_cast<std::size_t>(size)) << outcome.out;
    for (int rank = 0; rank < size; ++rank) {
      std::ostringstream expected;
      expected << "rank " << rank << " of " << size << ": local rank " << rank % local_size << " of " << local_size
               << "; ";
      EXPECT_EQ(lines[static_cast<std::size_t>(rank)].find(expected.str()), 0U) << outcome.out;
    }
  }
}

}  // namespace
}  // namespace shine::test
