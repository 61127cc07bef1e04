// shine_train --compare on two real runs.
#include <gtest/gtest.h>

#include "integration/tiny_run.h"

namespace shine::test {
namespace {

TEST(CompareProgram, TellsWhetherARunRepeatsAnother) {
  const TinyRun tiny;
  const auto train = [&](const std::string& name, const std::string& setting) {
    return tiny.train("backbone.yaml", {"run.max_steps=3", "run.dir=" + tiny.file(name), setting}).status;
  };
  ASSERT_EQ(train("a", "run.seed=1"), 0);
  ASSERT_EQ(train("same", "run.seed=1"), 0);
  ASSERT_EQ(train("other", "run.seed=2"), 0);
  const auto compare = [&](const std::string& name) {
    return run_program("shine_train", {"--compare", tiny.file("a"), tiny.file(name)});
  };
  const Outcome same = compare("same");
  EXPECT_EQ(same.status, 0) << same.err;
  EXPECT_NE(same.out.find("configuration: the same\nprogram, libraries and device: the same\n"
                          "training losses: identical for all 3 logged steps in common\n"),
            std::string::npos)
      << same.out;
  const Outcome other = compare("other");
  EXPECT_EQ(other.status, 0) << other.err;
  EXPECT_NE(other.out.find("  run.seed: 1 -> 2\n"), std::string::npos) << other.out;
  EXPECT_NE(other.out.find("training losses: different from step 1 on: "), std::string::npos) << other.out;

  const Outcome three =
      run_program("shine_train", {"--all-keys", "--compare", tiny.file("a"), tiny.file("same"), tiny.file("other")});
  EXPECT_EQ(three.status, 0) << three.err;
  EXPECT_NE(three.out.find("  run.seed: 1 -> 1 -> 2\n"), std::string::npos) << three.out;
  EXPECT_NE(three.out.find("training losses of A and B: identical for all 3 logged steps in common\n"),
            std::string::npos)
      << three.out;
  EXPECT_NE(run_program("shine_train", {"--all-keys"}).status, 0) << "a part of --compare";

  const Outcome none = compare("tokenizer");
  EXPECT_EQ(none.status, 1);
  EXPECT_EQ(none.out, "");
  EXPECT_EQ(none.err, "shine_train: error: " + tiny.file("tokenizer") +
                          ": not a run's folder, it has no config.yaml (name a run.dir)\n");
  EXPECT_NE(run_program("shine_train", {"--compare", tiny.file("a")}).status, 0);
}

}  // namespace
}  // namespace shine::test
