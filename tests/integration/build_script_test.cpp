// scripts/build.sh with a stand-in for cmake, and the targets that it knows.
#include <gtest/gtest.h>

#include "integration/run_program.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class BuildScript : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_.path() / "scripts");
    fs::copy_file(source_dir() / "scripts/build.sh", folder_.path() / "scripts/build.sh");
  }

  /// What a build does after it has noted its arguments in `calls`.
  void stand_in(const std::string& build) const {
    const fs::path cmake = folder_.path() / "bin/cmake";
    write_bytes(cmake,
                "#!/usr/bin/env bash\necho \"$*\" >>calls\n[[ $1 != --preset ]] || { touch build/$2/build.ninja; "
                "exit 0; }\n" +
                    build);
    fs::permissions(cmake, fs::perms::owner_all);
  }

  Outcome build(const std::vector<std::string>& arguments, const std::string& seconds = "30") const {
    std::vector<std::string> words{"env", "PATH=" + (folder_.path() / "bin").string() + ":/usr/bin:/bin",
                                   "SHINE_BUILD_LINE_SECONDS=" + seconds,
                                   (folder_.path() / "scripts/build.sh").string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return run_command(words);
  }

  std::vector<std::string> calls() const { return lines_of(read_bytes(folder_.path() / "calls")); }

  TemporaryFolder folder_;
};

TEST_F(BuildScript, ConfiguresOnceAndBuildsTheTargetsThatAreNamed) {
  stand_in("");
  EXPECT_EQ(build({"release", "shine_programs", "bench_step"}).status, 0);
  EXPECT_EQ(build({}).status, 0);
  EXPECT_EQ(build({"asan"}).status, 0);
  EXPECT_EQ(calls(),
            (std::vector<std::string>{"--preset release", "--build --preset release --target shine_programs bench_step",
                                      "--build --preset release", "--preset asan", "--build --preset asan"}));
  const Outcome wrong = build({"shine_programs"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_EQ(wrong.err,
            "build: error: unknown preset shine_programs: scripts/build.sh [release|debug|asan] [TARGET ..]\n");
}

TEST_F(BuildScript, SaysHowFarItIsWhereNoTerminalShowsIt) {
  stand_in(
      "echo '[1/9] Building a'; echo '[2/9] Building b'; echo '  note'; sleep 0.7; echo '[9/9] Linking c'; sleep "
      "0.5\n");
  const Outcome outcome = build({}, "0.5");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  const std::vector<std::string> lines = lines_of(outcome.out);
  ASSERT_GE(lines.size(), 2U) << outcome.out;
  EXPECT_EQ(lines[0], "build: preset release (the first time takes minutes)");
  EXPECT_EQ(lines[1], "build: 2 / 9 objects");
  EXPECT_EQ(outcome.out.find("Building"), std::string::npos);
  EXPECT_EQ(build({}, "30").out.find("objects"), std::string::npos) << "done before the first line is due";
}

TEST_F(BuildScript, AFailureShowsWhatTheCompilerSaid) {
  stand_in("echo '[1/9] Building a'; echo 'a.cpp:3: error: no b'; exit 2\n");
  const Outcome outcome = build({});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("a.cpp:3: error: no b\nbuild: cmake --build --preset release failed (see above)\n"),
            std::string::npos)
      << outcome.err;
}

TEST(BuildTargets, TheProgramsNeedNoTestAndNoBenchmark) {
  const fs::path folder = bin_dir().parent_path();
  if (!fs::exists(folder / "build.ninja")) GTEST_SKIP() << "the programs are not in the folder they were built in";
  const Outcome query = run_command({"ninja", "-C", folder.string(), "-t", "query", "shine_programs"});
  ASSERT_EQ(query.status, 0) << query.err;
  for (const char* program : {"bin/shine_prepare", "bin/shine_tokenize"}) {
    EXPECT_NE(query.out.find(program), std::string::npos) << query.out;
  }
  for (const char* other : {"_tests", "bench_", "shine_internal"}) {
    EXPECT_EQ(query.out.find(other), std::string::npos) << query.out;
  }
}

}  // namespace
}  // namespace shine::test
