// What programs with LibTorch do before it is initialised.
#include <gtest/gtest.h>

#include <regex>

#include "integration/tiny_run.h"
#include "shine/common/str.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// What a program answers to --version, in a shell that ran `before`.
Outcome version_after(const std::string& before) {
  const std::string program = quoted((bin_dir() / "shine_verify").string());
  return run_command(
      {"bash", "-c", "unset OMP_NUM_THREADS; ulimit -c 0; " + before + " exec " + program + " --version"});
}

/// The spin count that GNU OpenMP tells of itself.
std::string spin_count(const std::string& setting) {
  const Outcome outcome = version_after("export OMP_DISPLAY_ENV=verbose; " + setting);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::smatch found;
  const std::regex line("GOMP_SPINCOUNT = '([0-9]+)'");
  return std::regex_search(outcome.err, found, line) ? found[1].str() : outcome.err;
}

TEST(ProgramStart, WaitingThreadsLeaveTheirCoreSoonUnlessToldOtherwise) {
  const std::string own = spin_count("");
  EXPECT_EQ(own, "2000");
  EXPECT_EQ(spin_count("export GOMP_SPINCOUNT=7;"), "7");
  EXPECT_NE(spin_count("export OMP_WAIT_POLICY=active;"), own);
  EXPECT_NE(spin_count("export OMP_NUM_THREADS=1;"), own);
}

TEST(ProgramStart, ShortMemoryIsOneLineHoweverEarly) {
  const auto with = [](std::size_t mebibytes) {
    return version_after("ulimit -v " + std::to_string(mebibytes * 1024) + ";");
  };
  std::size_t too_little = 64, enough = std::size_t{64} << 10;
  ASSERT_EQ(with(enough).status, 0);
  int said_by_us = 0;
  const auto is_enough = [&](std::size_t mebibytes) {
    const Outcome outcome = with(mebibytes);
    const bool said = outcome.status == 1 && outcome.err.find("error: out of memory") != std::string::npos;
    said_by_us += said ? 1 : 0;
    // 127: the loader found no place for a library, and says so; 126: bash itself.
    EXPECT_TRUE(outcome.status == 0 || said || outcome.status == 127 || outcome.status == 126)
        << mebibytes << " MiB: status " << outcome.status << ' ' << outcome.err;
    return outcome.status == 0;
  };
  while (enough - too_little > 2) {
    const std::size_t middle = (too_little + enough) / 2;
    (is_enough(middle) ? enough : too_little) = middle;
  }
  for (std::size_t less = 2; less <= 24; less += 2) is_enough(enough - less);
  EXPECT_GT(said_by_us, 0);
}

TEST(ProgramStart, RefusedThreadsAreOneLine) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train_backbone().status, 0);
  fs::permissions(tiny.folder(), fs::perms::all);
  // No limit holds for the superuser; another one has no other processes that count.
  const std::string as_nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups ";
  const std::string program = quoted((bin_dir() / "shine_train").string());
  if (run_command({"bash", "-c", as_nobody + program + " --version && test -w " + tiny.file("")}).status != 0) {
    GTEST_SKIP() << "the programs cannot be run as another user here";
  }
  for (const auto& [granted, threads] : {std::pair{1, 1}, {2, 4}, {3, 4}, {5, 4}, {8, 4}, {20, 4}}) {
    const std::string limits = str("ulimit -c 0; ulimit -u ", granted, "; export OMP_NUM_THREADS=", threads, "; exec ");
    const std::string arguments = str(quoted(tiny.file("pretrain.yaml")), " run.max_steps=1 run.threads=", threads, " ",
                                      quoted(str("run.dir=", tiny.file("run"), granted)));
    const Outcome outcome = run_command(
        {"timeout", "100", "bash", "-c", as_nobody + "bash -c " + quoted(limits + program + " " + arguments)});
    const bool said = outcome.err.find("error: no further thread can be started") != std::string::npos;
    EXPECT_TRUE(outcome.status == 0 || (outcome.status == 1 && said))
        << granted << " granted: status " << outcome.status << ' ' << outcome.err;
    EXPECT_TRUE(outcome.status == 0 || granted < 20);
  }
}

TEST(ProgramStart, ClosedStreamsAreNoFilesOfTheRun) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train_backbone().status, 0);
  const auto train = [&](const std::string& name, const std::string& closed) {
    const std::string run = tiny.file(name), program = (bin_dir() / "shine_train").string();
    const std::string command = quoted(program) + " " + quoted(tiny.file("pretrain.yaml")) + " run.max_steps=2 " +
                                quoted("run.dir=" + run) + " " + closed;
    const Outcome outcome = run_command({"bash", "-c", command});
    EXPECT_EQ(outcome.status, 0) << closed << outcome.err;
    EXPECT_TRUE(fs::exists(run + "/FINISHED")) << closed;
    for (const auto& [file, bytes] : snapshot(run)) {
      if (file.ends_with("log.txt")) continue;
      EXPECT_EQ(bytes.find("parameter group"), std::string::npos) << closed << ": console text in " << file;
    }
    return read_bytes(run + "/checkpoints/step-2/trained.safetensors");
  };
  const std::string weights = train("open", "");
  ASSERT_FALSE(weights.empty());
  EXPECT_EQ(train("no stdout", ">&-"), weights);
  EXPECT_EQ(train("no stderr", "2>&-"), weights);
  EXPECT_EQ(train("none", ">&- 2>&- <&-"), weights);
}

}  // namespace
}  // namespace shine::test
