// The launching scripts with RANKS=N, and those for several machines, with stand-ins for shine_train, torchrun and
// Slurm.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <thread>

#include "integration/launch_fixture.h"
#include "support/skip.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class LaunchRanks : public Launch {
 protected:
  /// Says which rank it is, by what either launcher sets.
  static constexpr const char* kRank = "rank=${OMPI_COMM_WORLD_RANK:-$RANK}\n";

  static bool has_mpirun() { return run_command({"mpirun", "--version"}).out.find("Open MPI") != std::string::npos; }

  /// Programs of this folder come before the system's.
  void put_first(const std::string& name) { set("PATH", file(name) + ":" + getenv("PATH")); }

  /// A torchrun that starts its ranks as the real one does and keeps their exit statuses to itself.
  void torchrun_alone() {
    stand_in(
        "while [[ $1 != --nproc-per-node ]]; do shift; done\n"
        "count=$2 failed=0 ranks=()\n"
        "while [[ $1 != --no-python ]]; do shift; done\n"
        "shift\n"
        "set -m\n"  // a process group for each rank
        "for ((i = 0; i < count; ++i)); do RANK=$i WORLD_SIZE=$count \"$@\" & ranks+=($!); done\n"
        "while :; do\n"
        "  for rank in \"${ranks[@]}\"; do kill -0 \"$rank\" || break 2; done 2>/dev/null\n"
        "  sleep 0.05\n"
        "done\n"
        "wait \"$rank\" || {\n"
        "  failed=1\n"
        "  for other in \"${ranks[@]}\"; do kill -- \"-$other\"; done 2>/dev/null\n"
        "}\n"
        "for other in \"${ranks[@]}\"; do wait \"$other\" || failed=1; done 2>/dev/null\n"
        "((!failed)) || { echo 'a long account' >&2; exit 1; }\n",
        "path/torchrun");
    for (const fs::path folder : {"/bin", "/usr/bin"}) {
      for (const char* tool : {"awk", "basename", "bash", "cat", "dirname", "env", "mkfifo", "mktemp", "nproc", "rm",
                               "sleep", "tail", "touch"}) {
        if (!fs::exists(folder / tool) || fs::exists(folder_.path() / "path" / tool)) continue;
        fs::create_symlink(folder / tool, folder_.path() / "path" / tool);
      }
    }
    set("PATH", file("path"));
  }

  /// Ranks that leave together, as the real ones do.
  void write_waiting_ranks() const {
    const std::string here = quoted(folder_.path().string());
    stand_in(std::string(kRank) + "cd " + here +
             "\n"
             "stop() {\n"
             "  echo \"stop $rank\" >&2\n"
             "  touch stopped.$rank\n"
             "  until [[ -e stopped.0 && -e stopped.1 ]]; do sleep 0.05; done\n"
             "  exit 75\n"
             "}\n"
             "trap stop USR1\n"
             "touch started.$rank\n"
             "for i in {1..300}; do sleep 0.1; done\n");
  }

  Outcome signal_two_ranks(const std::string& script, int number) const {
    for (const char* rank : {"0", "1"}) {
      fs::remove(file(std::string("started.") + rank));
      fs::remove(file(std::string("stopped.") + rank));
    }
    return signalled(script, {"small"}, number,
                     [&] { return fs::exists(file("started.0")) && fs::exists(file("started.1")); });
  }

  static std::vector<std::string> sorted_lines(const std::string& text) {
    std::vector<std::string> lines = lines_of(text);
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
};

TEST_F(LaunchRanks, ANumberOfRanksThatIsNoneIsOneLine) {
  for (const char* ranks : {"0", "x", "-2", "1.5", "2 3", "999999"}) {
    set("RANKS", ranks);
    const Outcome outcome = launch("pretrain", {"small"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.err, std::string("pretrain: error: RANKS=") + ranks + " is not a positive number\n");
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(LaunchRanks, OneRankNeedsNoLauncher) {
  set("RANKS", "1");
  EXPECT_EQ(launch("pretrain", {"small"}).out, "trained configs/small/pretrain.yaml run.dir=runs/small/pretrain\n");
}

TEST_F(LaunchRanks, MpirunGetsWhatTheMachineNeeds) {
  stand_in("[[ $1 == --version ]] && { echo 'mpirun (Open MPI) 4.1.4'; exit; }\necho \"$*\"\n", "path/mpirun");
  stand_in("echo 4\n", "path/nproc");
  put_first("path");
  set("RANKS", "2");
  const std::string root = geteuid() == 0 ? " --allow-run-as-root" : "";
  const std::string start = "--quiet --bind-to none --use-hwthread-cpus" + root;
  const std::string train = " bin/shine_train configs/small/pretrain.yaml run.dir=runs/small/pretrain";
  EXPECT_EQ(launch("pretrain", {"small"}).out, start + " -n 2" + train + "\n");
  EXPECT_EQ(launch("pretrain", {"small", "run.threads=3"}).out, start + " -n 2" + train + " run.threads=3\n");
  EXPECT_EQ(launch("all", {"--dry-run", "small"}).out.find("mpirun " + start + " -n 2" + train + " \n"), 0U);
  set("SHINE_THREADS", "1");
  EXPECT_EQ(launch("pretrain", {"small"}).out, start + " -n 2" + train + " run.threads=1\n");
  set("SHINE_THREADS", "");
  set("RANKS", "5");
  EXPECT_EQ(launch("pretrain", {"small"}).out, start + " --oversubscribe -n 5" + train + "\n");
}

TEST_F(LaunchRanks, ACommandIsTheSameForAnyNumberOfRanks) {
  stand_in("[[ $1 == --version ]] && echo 'mpirun (Open MPI) 4.1.4'\n", "path/mpirun");
  put_first("path");
  const auto commands = [&](const std::string& script) {
    std::string text;
    for (const std::string& line : lines_of(launch(script, {"--dry-run", "small"}).out)) {
      text += line.substr(std::min(line.find("bin/shine_"), line.size())) + "\n";
    }
    return text;
  };
  for (const char* script : {"all", "evaluate"}) {
    set("RANKS", "1");
    const std::string alone = commands(script);
    EXPECT_EQ(lines_of(alone).size(), 3U) << alone;
    set("RANKS", "2");
    EXPECT_EQ(commands(script), alone);
  }
}

TEST_F(LaunchRanks, EveryRankIsStartedAndTheStatusComesThrough) {
  if (!has_mpirun()) SHINE_SKIP("mpi", "no OpenMPI");
  set("RANKS", "2");
  stand_in(std::string(kRank) + "echo \"$rank of $OMPI_COMM_WORLD_SIZE\"\n");
  const Outcome good = launch("pretrain", {"small"});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_EQ(sorted_lines(good.out), (std::vector<std::string>{"0 of 2", "1 of 2"}));

  stand_in(std::string(kRank) + "[[ $rank == 0 ]] || { echo reason >&2; exit 3; }\nsleep 30\n");
  const Outcome bad = launch("pretrain", {"small"});
  EXPECT_EQ(bad.status, 3);
  const std::vector<std::string> lines = lines_of(bad.err);
  ASSERT_EQ(lines.size(), 3U) << bad.err;
  EXPECT_EQ(lines[1], "reason");
  EXPECT_EQ(lines[2],
            "pretrain: error: a rank ended with status 3 (see above; if nothing is there: the fault of mpirun)");

  stand_in("exit 75\n");
  EXPECT_EQ(launch("pretrain", {"small"}).status, 75);
  stand_in(std::string(kRank) + "[[ $rank == 0 ]] || kill -KILL $$\nsleep 30\n");
  const Outcome killed = launch("pretrain", {"small"});
  EXPECT_EQ(killed.status, 137);
  EXPECT_NE(killed.err.find("pretrain: error: a rank was ended by SIGKILL: "), std::string::npos) << killed.err;
}

TEST_F(LaunchRanks, ASignalReachesEveryRankAsARequestToStop) {
  if (!has_mpirun()) SHINE_SKIP("mpi", "no OpenMPI");
  set("RANKS", "2");
  write_waiting_ranks();
  for (const auto& [script, number] : {std::pair{"pretrain", SIGTERM}, {"pretrain", SIGINT}, {"all", SIGHUP}}) {
    const Outcome outcome = signal_two_ranks(script, number);
    EXPECT_EQ(outcome.status, 75) << outcome.err;
    for (const char* line : {"stop 0\n", "stop 1\n"})
      EXPECT_NE(outcome.err.find(line), std::string::npos) << outcome.err;
  }
}

TEST_F(LaunchRanks, ASignalBeforeTheRanksCanTakeItStopsThemToo) {
  if (!has_mpirun()) SHINE_SKIP("mpi", "no OpenMPI");
  set("RANKS", "2");
  stand_in(std::string(kRank) + "touch " + quoted(file("started")) + ".$rank\nexec sleep 30\n");
  EXPECT_EQ(signal_two_ranks("pretrain", SIGTERM).status, 75);
}

TEST_F(LaunchRanks, WithoutMpirunTorchrunStartsThemAndTheStatusComesThrough) {
  torchrun_alone();
  set("RANKS", "2");
  EXPECT_EQ(launch("pretrain", {"--dry-run", "small", "run.threads=1"})
                .out.find("torchrun --standalone --nproc-per-node 2 --no-python scripts/lib/rank.sh bin/shine_train "),
            0U);
  stand_in(std::string(kRank) + "echo \"$rank of $WORLD_SIZE\"\n");
  const Outcome good = launch("pretrain", {"small"});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_EQ(sorted_lines(good.out), (std::vector<std::string>{"0 of 2", "1 of 2"}));
  stand_in("echo \"$OMP_NUM_THREADS threads\"\n");
  EXPECT_EQ(launch("pretrain", {"small"}).out, "1 threads\n1 threads\n") << "the environment's";
  fs::remove(file("path/nproc"));
  stand_in("echo 6\n", "path/nproc");
  set("OMP_NUM_THREADS", "");
  EXPECT_EQ(launch("pretrain", {"small"}).out, "3 threads\n3 threads\n") << "a share of the cores";

  stand_in(std::string(kRank) + "[[ $rank == 0 ]] || { echo reason >&2; exit 3; }\nexec sleep 30\n");
  const Outcome bad = launch("pretrain", {"small"});
  EXPECT_EQ(bad.status, 3) << bad.err;
  EXPECT_NE(bad.err.find("\nreason\npretrain: error: a rank ended with status 3"), std::string::npos) << bad.err;
  EXPECT_EQ(bad.err.find("a long account"), std::string::npos) << bad.err;
  stand_in("exit 75\n");
  EXPECT_EQ(launch("pretrain", {"small"}).status, 75);
  stand_in("echo 'no such interface' >&2; exit 1\n", "path/torchrun");
  const Outcome launcher = launch("pretrain", {"small"});
  EXPECT_EQ(launcher.status, 1);
  EXPECT_NE(launcher.err.find("no such interface\npretrain: error: a rank ended with status 1 (see above"),
            std::string::npos)
      << launcher.err;
}

TEST_F(LaunchRanks, UnderTorchrunTooASignalReachesEveryRankAsARequestToStop) {
  torchrun_alone();
  set("RANKS", "2");
  write_waiting_ranks();
  const Outcome outcome = signal_two_ranks("all", SIGTERM);
  EXPECT_EQ(outcome.status, 75) << outcome.err;
  for (const char* line : {"stop 0\n", "stop 1\n"}) EXPECT_NE(outcome.err.find(line), std::string::npos) << outcome.err;
}

/// A stand-in that says what it is told of its place, in Slurm's or torchrun's words.
constexpr const char* kDescribe =
    "echo \"${RANK:-$SLURM_PROCID} of ${WORLD_SIZE:-$SLURM_STEP_NUM_TASKS}, ${LOCAL_RANK:-$SLURM_LOCALID} of "
    "${LOCAL_WORLD_SIZE:-$SLURM_STEP_TASKS_PER_NODE}, $MASTER_ADDR $MASTER_PORT: $*\"\n";

TEST_F(LaunchRanks, ADryRunOfSeveralMachinesAsksEveryRank) {
  stand_in(kDescribe);
  set("MASTER", "first:29500");
  set("RANKS", "2");
  const Outcome torchrun = launch("multi_node/torchrun", {"--dry-run", "a.yaml", "run.seed=2"});
  EXPECT_EQ(torchrun.status, 0) << torchrun.err;
  EXPECT_NE(torchrun.err.find("--nnodes 2 --nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint first:29500"),
            std::string::npos)
      << torchrun.err;
  const std::string end = ", first 29500: a.yaml run.seed=2 --dry-run\n";
  EXPECT_EQ(torchrun.out,
            "0 of 4, 0 of 2" + end + "1 of 4, 1 of 2" + end + "2 of 4, 0 of 2" + end + "3 of 4, 1 of 2" + end);

  const Outcome slurm = launch("multi_node/slurm", {"a.yaml", "--dry-run"});
  EXPECT_EQ(slurm.status, 0) << slurm.err;
  const std::vector<std::string> lines = lines_of(slurm.out);
  ASSERT_EQ(lines.size(), 16U) << slurm.out;
  EXPECT_EQ(lines[9], "9 of 16, 1 of 8(x2), first-node 20001: a.yaml --dry-run");
  set("SHINE_THREADS", "3");
  for (const char* script : {"multi_node/torchrun", "multi_node/slurm"}) {
    EXPECT_NE(launch(script, {"a.yaml", "run.seed=2", "--dry-run"}).out.find(": a.yaml run.threads=3 run.seed=2 "),
              std::string::npos);
  }
  EXPECT_NE(slurm.err.find("slurm: srun --kill-on-bad-exit=1"), std::string::npos) << slurm.err;
}

TEST_F(LaunchRanks, WrongSettingsOfSeveralMachinesAreOneLine) {
  EXPECT_EQ(launch("multi_node/torchrun", {"a.yaml"}).err,
            "torchrun: error: MASTER= is not HOST:PORT of one of the machines\n");
  set("MASTER", "first:29500");
  set("NODES", "two");
  EXPECT_EQ(launch("multi_node/torchrun", {"a.yaml"}).err, "torchrun: error: NODES=two is not a positive number\n");
  EXPECT_EQ(launch("multi_node/slurm", {"--dry-run"}).err,
            "slurm: error: no configuration given (scripts/multi_node/slurm.sh --help)\n");
  set("SLURM_JOB_ID", "");
  const Outcome outside = launch("multi_node/slurm", {"a.yaml"});
  EXPECT_EQ(outside.status, 1);
  EXPECT_NE(outside.err.find("this is no Slurm job"), std::string::npos) << outside.err;
}

TEST_F(LaunchRanks, ASlurmJobGoesBackToTheQueueOnlyWhereItWasStopped) {
  stand_in("[[ $1 == show ]] && printf 'one\\ntwo\\n' || echo \"scontrol $*\"\n", "path/scontrol");
  put_first("path");
  set("SLURM_JOB_ID", "10007");
  set("SLURM_JOB_NODELIST", "one,two");
  set("SLURM_SUBMIT_DIR", source_dir().string());
  const std::string stopped = "echo 'run the same command again to go on' >&2; ";
  const std::string not_begun = "echo 'stopped before training began: run again to start' >&2; ";
  struct Case {
    std::string end;
    int status;
    bool requeued;
  };
  for (const Case& c :
       {Case{"exit 0", 0, false}, Case{"exit 75", 75, true}, Case{"exit 1", 1, false}, Case{"exit 137", 137, false},
        Case{stopped + "exit 143", 75, true}, Case{not_begun + "exit 143", 75, true},
        Case{not_begun + "exit 137", 75, true}, Case{"exit 138", 75, true}, Case{"exit 143", 143, false}}) {
    stand_in("echo \"$MASTER_ADDR $MASTER_PORT $*\"\n" + c.end + "\n", "path/srun");
    const Outcome outcome = launch("multi_node/slurm", {"a.yaml"});
    EXPECT_EQ(outcome.status, c.status) << c.end << outcome.err;
    EXPECT_EQ(outcome.out.find("one 20007 --kill-on-bad-exit=1"), 0U) << outcome.out;
    EXPECT_EQ(outcome.out.find("scontrol requeue 10007") != std::string::npos, c.requeued) << outcome.out;
  }
}

}  // namespace
}  // namespace shine::test
