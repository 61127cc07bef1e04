// scripts/compare_dtypes.sh with few steps: that it compares, and that a failure is not taken for equal losses.
#include <gtest/gtest.h>

#include "integration/tiny_run.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class CompareDtypes : public testing::Test {
 protected:
  Outcome compare(const TinyRun& tiny, const fs::path& programs) const {
    return run_command({"env", "STEPS=3", "SHINE_BIN=" + programs.string(), "SHINE_RUNS=" + tiny.file("runs"),
                        "scripts/compare_dtypes.sh", tiny.file("pretrain.yaml")});
  }
};

TEST_F(CompareDtypes, PrintsOneTable) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train_backbone().status, 0);
  const Outcome outcome = compare(tiny, bin_dir());
  ASSERT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  for (const char* row :
       {"bfloat16, equal weights ", "bfloat16, a run of its own ", "float32, sums in another order "}) {
    EXPECT_NE(outcome.out.find(row), std::string::npos) << outcome.out;
  }
  EXPECT_EQ(outcome.out.find("equal weights                   0.000"), std::string::npos) << outcome.out;
}

TEST_F(CompareDtypes, AComparisonThatFailsIsAFailure) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train_backbone().status, 0);
  const fs::path program = tiny.folder() / "bin" / "shine_train";
  write_bytes(program, "#!/usr/bin/env bash\n[[ $1 != --compare ]] || exit 1\nexec " +
                           quoted((bin_dir() / "shine_train").string()) + " \"$@\"\n");
  fs::permissions(program, fs::perms::owner_all);
  const Outcome outcome = compare(tiny, program.parent_path());
  EXPECT_NE(outcome.status, 0);
  EXPECT_EQ(outcome.out.find("equal weights"), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace shine::test
