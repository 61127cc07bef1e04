// How a run can end, and that whatever ended it, running it again leads to the end of a run that nobody disturbed.
#include <gtest/gtest.h>

#include <algorithm>

#include "integration/compare_runs.h"
#include "integration/tiny_run.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// A tiny run with a trained backbone and an undisturbed pretraining of 40 steps in `whole`, made once.
class TrainEnds : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    const Outcome backbone = tiny_->train_backbone();
    if (backbone.status != 0) throw std::runtime_error(backbone.err);
    const Outcome whole = run_in("whole");
    if (whole.status != 0) throw std::runtime_error(whole.err);
  }
  static void TearDownTestSuite() { delete tiny_; }

  static fs::path folder(const std::string& name) { return tiny_->folder() / name; }

  static std::vector<std::string> arguments(const std::string& name, std::vector<std::string> overrides = {}) {
    std::vector<std::string> all{tiny_->file("pretrain.yaml"), "run.dir=" + folder(name).string(), "run.max_steps=40",
                                 "checkpoint.every_steps=4", "run.deterministic=true"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return all;
  }
  static Outcome run_in(const std::string& name, std::vector<std::string> overrides = {}) {
    return run_program("shine_train", arguments(name, std::move(overrides)));
  }

  static void expect_the_undisturbed_end(const std::string& name) {
    expect_equal_checkpoints(folder("whole"), folder(name), 40);
    expect_equal_metrics(folder("whole"), folder(name));
    EXPECT_EQ(read_bytes(folder(name) / "FINISHED"), read_bytes(folder("whole/FINISHED")));
  }

  static TinyRun* tiny_;
};

TinyRun* TrainEnds::tiny_ = nullptr;

TEST_F(TrainEnds, ASignalSavesAndExitsWith75) {
  for (const auto& [number, name] : {std::pair{SIGTERM, "SIGTERM"}, std::pair{SIGINT, "SIGINT"}}) {
    BackgroundProgram run("shine_train", arguments(name));
    ASSERT_TRUE(run.wait_until([&] { return lines_of(read_bytes(folder(name) / "metrics.jsonl")).size() > 9; }));
    run.signal(number);
    ASSERT_EQ(run.wait(), 75) << run.err();
    EXPECT_NE(run.err().find(std::string("stopped by ") + name + " after step "), std::string::npos) << run.err();
    EXPECT_FALSE(fs::exists(folder(name) / "FINISHED"));
    const auto steps = events_of(folder(name)).back().at("step").get<int>();
    EXPECT_TRUE(fs::exists(folder(name) / ("checkpoints/step-" + std::to_string(steps)) / "DONE"));
    ASSERT_EQ(run_in(name).status, 0);
    expect_the_undisturbed_end(name);
  }
}

TEST_F(TrainEnds, TheTimeLimitSavesAndExitsWith75) {
  // A limit that has passed before the first step, which is done all the same.
  const Outcome first = run_in("time", {"run.max_minutes=0.0001"});
  EXPECT_EQ(first.status, 75) << first.err;
  EXPECT_NE(first.err.find("stopped by run.max_minutes after step 1:"), std::string::npos) << first.err;
  EXPECT_TRUE(fs::exists(folder("time/checkpoints/step-1/DONE")));
  EXPECT_FALSE(fs::exists(folder("time/FINISHED")));
  ASSERT_EQ(run_in("time").status, 0);
  expect_the_undisturbed_end("time");
}

TEST_F(TrainEnds, AFinishedRunSaysSoAndALongerOneGoesOn) {
  ASSERT_EQ(run_in("longer", {"run.max_steps=8"}).status, 0);
  ASSERT_TRUE(fs::exists(folder("longer/FINISHED")));
  const Outcome again = run_in("longer", {"run.max_steps=8"});
  EXPECT_EQ(again.status, 0);
  EXPECT_NE(again.err.find("is finished"), std::string::npos) << again.err;
  EXPECT_EQ(again.err.find("step "), std::string::npos) << "nothing is built or trained\n" << again.err;
  ASSERT_EQ(run_in("longer", {"validation.every_steps=5"}).status, 0);
  expect_equal_checkpoints(folder("whole"), folder("longer"), 40);
}

TEST_F(TrainEnds, ADamagedCheckpointIsSkippedWithAMessage) {
  ASSERT_EQ(run_in("damaged", {"run.max_steps=20", "checkpoint.keep_last=3"}).status, 0);
  const fs::path newest = folder("damaged/checkpoints/step-20/trained.safetensors");
  std::string bytes = read_bytes(newest);
  bytes[bytes.size() / 2] ^= 4;
  write_bytes(newest, bytes);
  const Outcome rest = run_in("damaged");
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_NE(rest.err.find("checkpoint skipped: " + newest.string() + ": damaged"), std::string::npos) << rest.err;
  EXPECT_NE(rest.err.find("step-16 after step 16"), std::string::npos) << rest.err;
  expect_the_undisturbed_end("damaged");
}

TEST_F(TrainEnds, AFinishedRunWhoseLastCheckpointIsDamagedMakesItAnew) {
  ASSERT_EQ(run_in("mended").status, 0);
  const fs::path last = folder("mended/checkpoints/step-40/optimizer.safetensors");
  fs::resize_file(last, fs::file_size(last) - 1);
  const Outcome again = run_in("mended");
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_NE(again.err.find("its last checkpoint is lost: " + last.string()), std::string::npos) << again.err;
  expect_the_undisturbed_end("mended");
}

TEST_F(TrainEnds, AFinishedRunWithoutItsCheckpointsIsNotStartedAnew) {
  ASSERT_EQ(run_in("lost", {"run.max_steps=8"}).status, 0);
  fs::rename(folder("lost/checkpoints"), folder("elsewhere"));
  const auto before = snapshot(folder("lost"));
  for (const bool dangling : {false, true}) {
    if (dangling) fs::create_directory_symlink(folder("not mounted"), folder("lost/checkpoints"));
    const Outcome outcome = run_in("lost", {"run.max_steps=12"});
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_EQ(snapshot(folder("lost")), before);
  }
}

TEST_F(TrainEnds, AnotherBackboneIsNoticed) {
  const std::string model = tiny_->file("other-model");
  fs::copy(tiny_->file("backbone/model"), model);
  ASSERT_EQ(run_in("backbones", {"run.max_steps=4", "model.path=" + model}).status, 0);
  std::string weights = read_bytes(model + "/model.safetensors");
  weights[weights.size() - 2] ^= 1;
  write_bytes(model + "/model.safetensors", weights);
  const Outcome outcome = run_in("backbones", {"model.path=" + model});
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("the backbone's weights have changed since this checkpoint"), std::string::npos)
      << outcome.err;
}

TEST_F(TrainEnds, AResumeDoesNotNeedWhatTheRunStartedFrom) {
  ASSERT_EQ(run_in("origin", {"run.max_steps=4"}).status, 0);
  const std::string from = "stage.init_from=" + folder("origin").string();
  ASSERT_EQ(run_in("heir", {from, "run.max_steps=4"}).status, 0);
  fs::remove_all(folder("origin"));
  const Outcome rest = run_in("heir", {from, "run.max_steps=8"});
  EXPECT_EQ(rest.status, 0) << rest.err;
}

TEST_F(TrainEnds, AFullDiskIsOneLineAndHarmsNothing) {
  ASSERT_EQ(run_in("full", {"run.max_steps=8"}).status, 0);
  const auto before = snapshot(folder("full/checkpoints/step-8"));
  // No file may grow beyond 32 blocks of 512 bytes: less than the weights need.
  std::vector<std::string> words{(bin_dir() / "shine_train").string()};
  for (const std::string& word : arguments("full")) words.push_back(word);
  std::string command = "ulimit -f 32; exec";
  for (const std::string& word : words) command += ' ' + quoted(word);
  const Outcome outcome = run_command({"sh", "-c", command});
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  std::vector<std::string> lines = lines_of(outcome.err);
  std::erase_if(lines, [](const std::string& line) { return line.rfind("shine_train: ", 0) != 0; });
  ASSERT_EQ(lines.size(), 1U) << outcome.err;
  EXPECT_NE(lines[0].find("shine_train: error: " + folder("full").string()), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("File too large"), std::string::npos) << lines[0];
  EXPECT_EQ(snapshot(folder("full/checkpoints/step-8")), before);
  ASSERT_EQ(run_in("full").status, 0);
  expect_equal_checkpoints(folder("whole"), folder("full"), 40);
}

TEST_F(TrainEnds, ACheckpointFolderThatCannotBeWrittenIsOneLine) {
  write_bytes(folder("blocked/checkpoints"), "a file where a folder should be");
  const Outcome outcome = run_in("blocked");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("shine_train: error: " + folder("blocked/checkpoints").string()), std::string::npos)
      << outcome.err;
}

TEST_F(TrainEnds, AVanishedTextIsNoticedBeforeAnythingIsTouched) {
  ASSERT_EQ(run_in("vanished", {"run.max_steps=8"}).status, 0);
  const auto before = snapshot(folder("vanished"));
  fs::rename(folder("texts.txt"), folder("texts.gone"));
  const Outcome outcome = run_in("vanished");
  fs::rename(folder("texts.gone"), folder("texts.txt"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("data.train: no such file or folder: " + tiny_->file("texts.txt")), std::string::npos)
      << outcome.err;
  EXPECT_EQ(snapshot(folder("vanished")), before);
}

TEST_F(TrainEnds, TwoProcessesCannotTrainInOneFolder) {
  BackgroundProgram run("shine_train", arguments("shared"));
  ASSERT_TRUE(run.wait_until([&] { return fs::exists(folder("shared/metrics.jsonl")); }));
  run.signal(SIGSTOP);  // or it may be finished before the second has started
  const Outcome second = run_in("shared");
  run.signal(SIGCONT);
  EXPECT_EQ(second.status, 1);
  EXPECT_NE(second.err.find("another process trains in this folder"), std::string::npos) << second.err;
  EXPECT_EQ(run.wait(), 0) << run.err();
}

TEST_F(TrainEnds, ALaterStageDemandsAFinishedRun) {
  {
    BackgroundProgram run("shine_train", arguments("first"));
    ASSERT_TRUE(run.wait_until([&] { return fs::exists(folder("first/checkpoints/step-4/DONE")); })) << run.err();
    run.signal(SIGTERM);
    ASSERT_EQ(run.wait(), 75) << run.err();
  }
  const std::vector<std::string> later{"stage.init_from=" + folder("first").string(), "run.max_steps=1"};
  const Outcome refused = run_in("second", later);
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("the run is not finished, its newest checkpoint is step-"), std::string::npos)
      << refused.err;
  EXPECT_NE(refused.err.find("stage.allow_unfinished=true"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(folder("second")));
  std::vector<std::string> allowed = later;
  allowed.push_back("stage.allow_unfinished=true");
  const Outcome taken = run_in("second", allowed);
  EXPECT_EQ(taken.status, 0) << taken.err;
  EXPECT_NE(taken.err.find("is NOT finished"), std::string::npos) << taken.err;
  const Outcome from_finished = run_in("third", {"stage.init_from=" + folder("whole").string(), "run.max_steps=1"});
  EXPECT_EQ(from_finished.status, 0) << from_finished.err;
  EXPECT_NE(from_finished.err.find("whole is finished, its checkpoint is step-40"), std::string::npos);
}

}  // namespace
}  // namespace shine::test
