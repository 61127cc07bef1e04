// The launching scripts with a stand-in for shine_train that prints its arguments.
#include <gtest/gtest.h>
#include <signal.h>

#include "integration/launch_fixture.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

TEST_F(Launch, HelpTellsTheUseAndTheModels) {
  add_stage("other", "ift_1qa");
  for (const char* script : {"pretrain", "ift_mqa", "ift_1qa", "all", "evaluate"}) {
    const Outcome help = launch(script, {"--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_EQ(help.err, "");
    EXPECT_NE(help.out.find(std::string("scripts/") + script + ".sh [--dry-run] MODEL [key=value ..]"),
              std::string::npos)
        << help.out;
    EXPECT_NE(help.out.find("\nModels: other small\n"), std::string::npos) << help.out;
  }
}

TEST_F(Launch, WrongArgumentsAreOneLine) {
  const auto fault = [&](const std::vector<std::string>& arguments) {
    const Outcome outcome = launch("pretrain", arguments);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.out, "");
    return outcome.err;
  };
  const auto unknown = [](const std::string& model) {
    return "pretrain: error: unknown model " + model +
           " (one of: small; for another copy the files of such a folder to configs/" + model +
           ", and name in model.path a folder with the model's config.json, tokenizer.json and *.safetensors from "
           "huggingface.co)\n";
  };
  EXPECT_EQ(fault({"large"}), unknown("large"));
  EXPECT_EQ(fault({"base"}), unknown("base"));
  EXPECT_EQ(fault({}), "pretrain: error: no model given (one of: small)\n");
  EXPECT_EQ(fault({"--fast", "small"}), "pretrain: error: unknown option --fast (pretrain.sh --help)\n");
  EXPECT_EQ(fault({"small", "ift-mqa:run.seed=2"}),
            "pretrain: error: unknown stage ift-mqa in ift-mqa:run.seed=2 (one of: pretrain ift_mqa ift_1qa)\n");
  EXPECT_EQ(fault({"small", "large"}),
            "pretrain: error: large is neither an option nor key=value, and the model is small already\n");
}

TEST_F(Launch, NoOverrideIsForAStageThatDoesNotRun) {
  const Outcome alone = launch("pretrain", {"small", "ift_mqa:schedule.epochs=3"});
  EXPECT_EQ(alone.status, 1);
  EXPECT_EQ(alone.err,
            "pretrain: error: ift_mqa:schedule.epochs=3 is for stage ift_mqa, and this is stage pretrain alone (all.sh "
            "runs all)\n");
  EXPECT_EQ(launch("ift_mqa", {"small", "ift_mqa:schedule.epochs=3"}).status, 0);
  fs::remove(folder_.path() / "configs/small/ift_1qa.yaml");
  for (const char* script : {"all", "evaluate"}) {
    const Outcome absent = launch(script, {"small", "ift_1qa:run.seed=2"});
    EXPECT_EQ(absent.status, 1);
    EXPECT_EQ(absent.out, "");
    EXPECT_EQ(absent.err,
              std::string(script) + ": error: ift_1qa:run.seed=2 is for stage ift_1qa, which small does not have\n");
  }
}

TEST_F(Launch, ARunHasANameOfItsOwn) {
  set("RUN", "seed2");
  const Outcome all = launch("all", {"small", "run.seed=2"});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_EQ(all.out,
            "trained configs/small/pretrain.yaml run.dir=runs/small-seed2/pretrain run.seed=2\n"
            "trained configs/small/ift_mqa.yaml run.dir=runs/small-seed2/ift_mqa "
            "stage.init_from=runs/small-seed2/pretrain run.seed=2\n"
            "trained configs/small/ift_1qa.yaml run.dir=runs/small-seed2/ift_1qa "
            "stage.init_from=runs/small-seed2/ift_mqa run.seed=2\n");
  stand_in("echo \"mqa $*\"\n", "bin/shine_test_mqa");
  fs::create_directories(folder_.path() / "runs/small-seed2/ift_mqa");
  EXPECT_EQ(launch("evaluate", {"small"}).out,
            "mqa configs/small/ift_mqa.yaml --resume run.dir=runs/small-seed2/ift_mqa\n");
  set("RUN", "../elsewhere");
  EXPECT_EQ(launch("pretrain", {"small"}).err,
            "pretrain: error: RUN=../elsewhere is no name of letters, digits, dots, dashes and underscores\n");
  add_stage("small-two", "pretrain");
  set("RUN", "two");
  EXPECT_EQ(launch("pretrain", {"small"}).err,
            "pretrain: error: RUN=two: the folder would be that of the model small-two\n");
}

TEST_F(Launch, ScriptsWithoutArgumentsRefuseThem) {
  const auto fault = [](const std::string& command) {
    const Outcome outcome =
        run_command({"bash", "-c", "cd " + quoted(source_dir().string()) + " && scripts/" + command});
    EXPECT_EQ(outcome.status, 1) << command;
    EXPECT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
    return outcome.err;
  };
  EXPECT_NE(fault("build.sh nonsense").find("build: error: unknown preset nonsense"), std::string::npos);
  EXPECT_NE(fault("setup.sh nonsense").find("setup: error: unknown argument nonsense"), std::string::npos);
  EXPECT_NE(fault("get_smollm2.sh models/x nonsense").find("unknown argument nonsense"), std::string::npos);
  for (const char* words : {"tools_env.sh nonsense", "tools_env.sh plot nonsense"}) {
    EXPECT_NE(fault(words).find("tools_env: error: unknown argument nonsense"), std::string::npos) << words;
  }
  EXPECT_NE(fault("quickstart.sh nonsense").find("nonsense is neither an option nor key=value"), std::string::npos);
}

TEST_F(Launch, EachStageStartsFromTheOneBefore) {
  EXPECT_EQ(launch("pretrain", {"small", "run.seed=2"}).out,
            "trained configs/small/pretrain.yaml run.dir=runs/small/pretrain run.seed=2\n");
  EXPECT_EQ(launch("ift_mqa", {"small"}).out,
            "trained configs/small/ift_mqa.yaml run.dir=runs/small/ift_mqa stage.init_from=runs/small/pretrain\n");
  EXPECT_EQ(launch("ift_1qa", {"small", "stage.init_from=published"}).out,
            "trained configs/small/ift_1qa.yaml run.dir=runs/small/ift_1qa stage.init_from=runs/small/ift_mqa "
            "stage.init_from=published\n");
}

TEST_F(Launch, AllRunsEveryStageWithTheOverridesThatAreItsOwn) {
  const Outcome all = launch("all", {"small", "run.seed=2", "ift_mqa:schedule.epochs=3"});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_EQ(all.out,
            "trained configs/small/pretrain.yaml run.dir=runs/small/pretrain run.seed=2\n"
            "trained configs/small/ift_mqa.yaml run.dir=runs/small/ift_mqa stage.init_from=runs/small/pretrain "
            "run.seed=2 schedule.epochs=3\n"
            "trained configs/small/ift_1qa.yaml run.dir=runs/small/ift_1qa stage.init_from=runs/small/ift_mqa "
            "run.seed=2\n");
  const Outcome folder = launch("all", {"small", "run.dir=here"});
  EXPECT_EQ(folder.status, 1);
  EXPECT_NE(folder.err.find("run.dir is one stage's folder"), std::string::npos) << folder.err;
}

TEST_F(Launch, EvaluateTestsTheStagesThatHaveBeenTrained) {
  for (const std::string test : {"mqa", "1qa", "pretrain"}) {
    const fs::path stand_in = folder_.path() / "bin" / ("shine_test_" + test);
    write_bytes(stand_in, "#!/usr/bin/env bash\n[[ $* != *fail* ]] || exit 3\necho \"" + test + " $*\"\n");
    fs::permissions(stand_in, fs::perms::owner_all);
  }
  const Outcome nothing = launch("evaluate", {"small"});
  EXPECT_EQ(nothing.status, 1);
  EXPECT_NE(nothing.err.find("evaluate: error: nothing to test: train a stage first (scripts/all.sh small)"),
            std::string::npos)
      << nothing.err;
  fs::create_directories(folder_.path() / "runs/small/pretrain");
  fs::create_directories(folder_.path() / "runs/small/ift_1qa");
  const Outcome some = launch("evaluate", {"small", "evaluation.limit=5", "ift_1qa:run.seed=2"});
  EXPECT_EQ(some.status, 0) << some.err;
  EXPECT_EQ(some.out,
            "pretrain configs/small/pretrain.yaml --resume run.dir=runs/small/pretrain evaluation.limit=5\n"
            "1qa configs/small/ift_1qa.yaml --resume run.dir=runs/small/ift_1qa evaluation.limit=5 run.seed=2\n");
  EXPECT_NE(some.err.find("runs/small/ift_mqa has not been trained: skipped"), std::string::npos) << some.err;
  const Outcome failed = launch("evaluate", {"small", "pretrain:run.device=fail"});
  EXPECT_EQ(failed.status, 3);
  EXPECT_NE(failed.err.find("the test of stage pretrain failed with status 3"), std::string::npos) << failed.err;
  EXPECT_EQ(failed.out, "");
}

TEST_F(Launch, ADryRunPrintsQuotedCommandsAndRunsNothing) {
  fs::remove(program());
  const Outcome outcome = launch("all", {"--dry-run", "small", "data.train=[\"a b.txt\"]"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<std::string> lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0],
            R"(bin/shine_train configs/small/pretrain.yaml run.dir=runs/small/pretrain data.train=\[\"a\ b.txt\"\] )");
}

TEST_F(Launch, CalledElsewherePathsOfItsArgumentsBeginThere) {
  stand_in("echo \"in $PWD from $SHINE_PATHS_FROM: $*\"\n");
  fs::create_directory(folder_.path() / "notes");
  const auto called_there = [&](const std::string& script, const std::vector<std::string>& arguments) {
    std::vector<std::string> words = command(script, arguments);
    const std::vector<std::string> there{"-C", (folder_.path() / "notes").string()};
    words.insert(words.begin() + 1, there.begin(), there.end());
    Outcome outcome = run_command(words);
    shorten(outcome);
    return outcome;
  };
  const std::string repository = source_dir().string();
  for (const char* script : {"pretrain", "all"}) {
    const Outcome outcome = called_there(script, {"small", "pretrain:data.train=[mine.txt]"});
    EXPECT_EQ(lines_of(outcome.out).at(0), "in " + repository +
                                               " from notes: configs/small/pretrain.yaml "
                                               "run.dir=runs/small/pretrain data.train=[mine.txt]")
        << outcome.err;
  }
  const Outcome dry = called_there("pretrain", {"small", "data.train=[mine.txt]", "--dry-run"});
  EXPECT_EQ(dry.out, "cd " + repository +
                         " && SHINE_PATHS_FROM=notes bin/shine_train configs/small/pretrain.yaml "
                         "run.dir=runs/small/pretrain data.train=\\[mine.txt\\] \n")
      << dry.err;
  set("SHINE_RUNS", "mine");
  EXPECT_EQ(called_there("pretrain", {"small"}).out,
            "in " + repository + " from notes: configs/small/pretrain.yaml run.dir=notes/mine/small/pretrain\n");
  set("SHINE_RUNS", "");
  EXPECT_EQ(
      called_there("pretrain", {"small"}).out,
      "in " + repository + " from notes: configs/small/pretrain.yaml run.dir=" + repository + "/runs/small/pretrain\n");
  EXPECT_EQ(launch("pretrain", {"small"}).out,
            "in " + repository + " from : configs/small/pretrain.yaml run.dir=runs/small/pretrain\n");
}

TEST_F(Launch, AMissingProgramOrStageSaysWhatToDo) {
  fs::remove(folder_.path() / "configs/small/ift_mqa.yaml");
  const Outcome stage = launch("ift_mqa", {"small"});
  EXPECT_EQ(stage.status, 1);
  EXPECT_EQ(stage.err,
            "ift_mqa: error: stage ift_mqa does not exist for small: there is no configs/small/ift_mqa.yaml\n");
  const Outcome all = launch("all", {"small"});
  EXPECT_EQ(all.status, 1);
  EXPECT_EQ(lines_of(all.out).size(), 1U) << "pretrain is run";
  EXPECT_TRUE(all.err.starts_with("all: small has no stage ift_mqa: stopping there\n")) << all.err;
  fs::remove(program());
  const Outcome program = launch("pretrain", {"small"});
  EXPECT_EQ(program.status, 1);
  EXPECT_EQ(program.err,
            "pretrain: error: bin/shine_train is missing: run scripts/setup.sh && scripts/build.sh release "
            "shine_programs first\n");
}

TEST_F(Launch, TheChainStopsAtTheFirstStageThatFailsWithItsStatus) {
  stand_in("echo trained\n[[ $1 != */ift_mqa.yaml ]] || exit 3\n");
  const Outcome failed = launch("all", {"small"});
  EXPECT_EQ(failed.status, 3);
  EXPECT_EQ(failed.out, "trained\ntrained\n");
  EXPECT_NE(failed.err.find("all: error: stage ift_mqa failed with status 3"), std::string::npos) << failed.err;
  stand_in("exit 75\n");
  const Outcome stopped = launch("all", {"small"});
  EXPECT_EQ(stopped.status, 75);
  EXPECT_NE(stopped.err.find("all: error: stopped in stage pretrain: run the same command again to go on"),
            std::string::npos)
      << stopped.err;
}

TEST_F(Launch, ASignalReachesTheProgramOfTheChain) {
  const fs::path started = folder_.path() / "started";
  const std::string wait = "touch " + quoted(started.string()) + "\nfor i in {1..300}; do sleep 0.1; done\n";
  struct Case {
    int signal;
    const char* at_stop;  ///< a stage that ends in its last step has nothing to go on with
  };
  for (const auto& [number, at_stop] : {Case{SIGTERM, "exit 75"}, Case{SIGINT, "exit 75"}, Case{SIGTERM, "exit 0"}}) {
    stand_in(std::string("trap '") + at_stop + "' TERM\n" + wait);
    fs::remove(started);
    EXPECT_EQ(signalled("all", {"small"}, number, [&] { return fs::exists(started); }).status, 75);
  }
}

}  // namespace
}  // namespace shine::test
