// The launching scripts with the real program.
#include <gtest/gtest.h>

#include "integration/tiny_run.h"

namespace shine::test {
namespace {

TEST(LaunchRun, TheSameCommandGoesOnAndAFaultStopsTheChain) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train_backbone().status, 0);
  write_bytes(tiny.folder() / "configs/tiny/pretrain.yaml", "base: ../../pretrain.yaml\n");
  const auto launch = [&](const std::string& script, std::vector<std::string> arguments) {
    std::vector<std::string> words{"env",
                                   "SHINE_BIN=" + bin_dir().string(),
                                   "SHINE_CONFIGS=" + tiny.file("configs"),
                                   "SHINE_RUNS=" + tiny.file("runs"),
                                   "SHINE_THREADS=1",
                                   "scripts/" + script + ".sh",
                                   "tiny"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return run_command(words);
  };
  const Outcome wrong = launch("all", {"optimizer.learning_rate=-1"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_NE(wrong.err.find("optimizer.learning_rate"), std::string::npos) << wrong.err;
  EXPECT_NE(wrong.err.find("stage pretrain failed with status 1"), std::string::npos) << wrong.err;
  EXPECT_FALSE(std::filesystem::exists(tiny.file("runs")));

  const Outcome first = launch("pretrain", {"run.max_steps=2"});
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_TRUE(std::filesystem::exists(tiny.file("runs/tiny/pretrain/checkpoints/step-2/DONE")));
  const Outcome second = launch("pretrain", {"run.max_steps=4"});
  EXPECT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(second.err.find("step 2/4"), std::string::npos);
  EXPECT_NE(second.err.find("step 4/4"), std::string::npos) << second.err;
}

}  // namespace
}  // namespace shine::test
