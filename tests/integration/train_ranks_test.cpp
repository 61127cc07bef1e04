// Training on several ranks: the same losses and weights as in one process, resumes, and ends.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "integration/compare_runs.h"
#include "integration/mpirun.h"
#include "integration/tiny_run.h"
#include "shine/io/safetensors.h"
#include "support/skip.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::vector<float> values_of(const RawTensor& tensor) {
  std::vector<float> values(tensor.bytes / sizeof(float));
  std::memcpy(values.data(), tensor.data, tensor.bytes);
  return values;
}

/// |a - b| / |b|. The key bias of an in_proj_bias, whose gradient is zero in exact arithmetic, is left out.
double relative_error(const std::string& name, std::vector<float> a, std::vector<float> b) {
  if (name.ends_with("in_proj_bias")) {
    for (auto* values : {&a, &b}) {
      const auto third = static_cast<std::ptrdiff_t>(values->size() / 3);
      values->erase(values->begin() + third, values->begin() + 2 * third);
    }
  }
  double difference = 0.0, size = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

void expect_same_losses(const fs::path& found, const fs::path& expected) {
  const std::vector<json> a = events_of(found), b = events_of(expected);
  ASSERT_EQ(a.size(), b.size());
  int steps = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    EXPECT_EQ(a[i]["kind"], b[i]["kind"]);
    EXPECT_EQ(a[i]["step"], b[i]["step"]);
    for (const char* exact : {"labels", "tokens", "samples", "epoch", "learning_rate"}) {
      EXPECT_EQ(a[i].value(exact, 0.0), b[i].value(exact, 0.0)) << exact;
    }
    if (!b[i].contains("loss")) continue;
    ++steps;
    EXPECT_NEAR(a[i]["loss"].get<double>() / b[i]["loss"].get<double>(), 1.0, 1e-5) << b[i].dump();
  }
  EXPECT_GE(steps, 10);
}

void expect_same_weights(const fs::path& found, const fs::path& expected) {
  const char* file = "checkpoints/step-10/trained.safetensors";
  const SafetensorsFile a(found / file), b(expected / file);
  ASSERT_EQ(a.names(), b.names());
  for (const std::string& name : b.names()) {
    EXPECT_LT(relative_error(name, values_of(a.tensor(name)), values_of(b.tensor(name))), 1e-5) << name;
  }
}

class TrainRanks : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    obstacle_ = obstacle_to_ranks();
    if (!obstacle_.empty()) return;
    tiny_ = new TinyRun();
    for (const char* yaml : {"backbone.yaml", "pretrain.yaml", "ift_mqa.yaml"}) {
      const Outcome trained = tiny_->train(yaml);
      if (trained.status != 0) throw std::runtime_error(trained.err);
    }
    const Outcome ranks = on_ranks(2, "pretrain.yaml", "probe", {"run.max_steps=1"});
    if (ranks.err.find("built without MPI") != std::string::npos) obstacle_ = "programs without MPI";
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override {
    if (!obstacle_.empty()) SHINE_SKIP("mpi", obstacle_);
  }

  static fs::path folder(const std::string& name) { return tiny_->folder() / name; }

  static std::vector<std::string> arguments(const std::string& yaml, const std::string& name,
                                            const std::vector<std::string>& overrides) {
    std::vector<std::string> all{tiny_->file(yaml), "run.dir=" + tiny_->file(name), "optimizer.accumulation=4",
                                 "run.threads=1", "run.check_every=2"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return all;
  }

  static Outcome on_ranks(int ranks, const std::string& yaml, const std::string& name,
                          const std::vector<std::string>& overrides = {}) {
    const std::vector<std::string> words = arguments(yaml, name, overrides);
    return ranks == 1 ? run_program("shine_train", words) : run_program_on_ranks(ranks, "shine_train", words);
  }

  /// One process's run of a stage, made once.
  static fs::path alone(const std::string& yaml) {
    const std::string name = "alone-" + yaml;
    if (!fs::exists(folder(name) / "FINISHED")) {
      const Outcome outcome = on_ranks(1, yaml, name);
      EXPECT_EQ(outcome.status, 0) << outcome.err;
    }
    return folder(name);
  }

  static void expect_as_alone(int ranks, const std::string& yaml, bool shard) {
    SCOPED_TRACE(yaml + " on " + std::to_string(ranks) + " ranks" + (shard ? ", sharded" : ""));
    const std::string name = yaml + "-" + std::to_string(ranks) + (shard ? "-sharded" : "");
    const Outcome outcome = on_ranks(ranks, yaml, name, {std::string("optimizer.shard=") + (shard ? "true" : "false")});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    expect_same_losses(folder(name), alone(yaml));
    expect_same_weights(folder(name), alone(yaml));
    const std::string log = read_bytes(folder(name) / "log.txt");
    EXPECT_EQ(log.find(std::to_string(ranks) + " ranks by MPI") != std::string::npos, ranks > 1) << log;
    EXPECT_EQ(log.find("MiB saved") != std::string::npos, shard && ranks > 1) << log;
    for (int rank = 1; rank < ranks; ++rank) {
      EXPECT_TRUE(fs::exists(folder(name) / ("log-rank" + std::to_string(rank) + ".txt")));
    }
  }

  static TinyRun* tiny_;
  static std::string obstacle_;
};

TinyRun* TrainRanks::tiny_ = nullptr;
std::string TrainRanks::obstacle_;

TEST_F(TrainRanks, GiveTheLossesAndWeightsOfOneProcess) {
  expect_as_alone(1, "pretrain.yaml", true);
  expect_as_alone(2, "pretrain.yaml", false);
  expect_as_alone(4, "pretrain.yaml", true);
  expect_as_alone(2, "ift_mqa.yaml", true);
  expect_as_alone(2, "ift_1qa.yaml", false);
  expect_as_alone(2, "backbone.yaml", true);
}

/// scripts/rank_matrix.sh asks for it.
TEST_F(TrainRanks, GiveTheLossesAndWeightsOfOneProcessInEveryStageAndForm) {
  if (std::getenv("SHINE_RANK_MATRIX") == nullptr) GTEST_SKIP() << "SHINE_RANK_MATRIX is not set";
  for (const char* yaml : {"backbone.yaml", "pretrain.yaml", "ift_mqa.yaml", "ift_1qa.yaml"}) {
    for (const int ranks : {1, 2, 3, 4}) {
      for (const bool shard : {false, true}) {
        if (ranks > 1 || shard) expect_as_alone(ranks, yaml, shard);
      }
    }
  }
}

TEST_F(TrainRanks, SamplesBySimilarLengthGiveTheSameLossesToo) {
  for (const int ranks : {1, 2}) {
    const Outcome outcome =
        on_ranks(ranks, "ift_mqa.yaml", "by-length-" + std::to_string(ranks), {"data.order=by_length"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  expect_same_losses(folder("by-length-2"), folder("by-length-1"));
}

TEST_F(TrainRanks, AResumeIsBitEqualOnAsManyRanksAndCorrectOnOthers) {
  ASSERT_EQ(on_ranks(2, "pretrain.yaml", "whole", {"optimizer.shard=true"}).status, 0);
  for (const int ranks : {2, 1, 3}) {
    SCOPED_TRACE(ranks);
    const std::string name = "resumed-on-" + std::to_string(ranks);
    ASSERT_EQ(on_ranks(2, "pretrain.yaml", name, {"optimizer.shard=true", "run.max_steps=5"}).status, 0);
    const Outcome rest = on_ranks(ranks, "pretrain.yaml", name, {"optimizer.shard=true"});
    ASSERT_EQ(rest.status, 0) << rest.err;
    expect_same_losses(folder(name), folder("whole"));
    expect_same_weights(folder(name), folder("whole"));
    if (ranks == 2) {
      expect_equal_checkpoints(folder("whole"), folder(name), 10);
      expect_equal_metrics(folder("whole"), folder(name));
    } else {
      EXPECT_NE(rest.err.find("made on cpu with 2 ranks, each with 1 CPU threads, this is cpu with "),
                std::string::npos)
          << rest.err;
    }
  }
  const Outcome refused = on_ranks(3, "pretrain.yaml", "resumed-on-2",
                                   {"optimizer.shard=true", "run.max_steps=12", "run.deterministic=true"});
  EXPECT_EQ(refused.status, 1) << refused.err;
  EXPECT_NE(refused.err.find("start as many ranks"), std::string::npos) << refused.err;
}

TEST_F(TrainRanks, AnyRankIsAskedToStopAndAllSaveAndLeaveWith75) {
  ASSERT_EQ(on_ranks(2, "pretrain.yaml", "undisturbed", {"run.max_steps=40"}).status, 0);
  for (const bool one_rank : {false, true}) {
    SCOPED_TRACE(one_rank);
    const std::string name = one_rank ? "rank-stopped" : "all-stopped";
    BackgroundProgram run(mpirun_path(),
                          mpirun_arguments(2, "shine_train", arguments("pretrain.yaml", name, {"run.max_steps=40"})));
    ASSERT_TRUE(run.wait_until([&] { return lines_of(read_bytes(folder(name) / "metrics.jsonl")).size() > 9; }))
        << run.err();
    if (one_rank) {
      kill(process_of_rank(1, tiny_->file(name)), SIGTERM);
    } else {
      run.signal(SIGUSR1);
    }
    EXPECT_EQ(run.wait(), 75) << run.err();
    EXPECT_NE(run.err().find(one_rank ? "stopped by SIGTERM after step " : "stopped by SIGUSR1 after step "),
              std::string::npos)
        << run.err();
    ASSERT_EQ(on_ranks(2, "pretrain.yaml", name, {"run.max_steps=40"}).status, 0);
    expect_equal_checkpoints(folder("undisturbed"), folder(name), 40);
    expect_equal_metrics(folder("undisturbed"), folder(name));
  }
}

TEST_F(TrainRanks, AKilledRankEndsTheJobAndNothingSavedIsLost) {
  const std::vector<std::string> overrides{"run.max_steps=40", "checkpoint.every_steps=4"};
  BackgroundProgram run(mpirun_path(),
                        mpirun_arguments(2, "shine_train", arguments("pretrain.yaml", "killed", overrides)));
  ASSERT_TRUE(run.wait_until([&] { return fs::exists(folder("killed") / "checkpoints/step-8/DONE"); })) << run.err();
  const auto start = std::chrono::steady_clock::now();
  kill(process_of_rank(1, tiny_->file("killed")), SIGKILL);
  EXPECT_EQ(run.wait(), 137) << run.err();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  const Outcome rest = on_ranks(2, "pretrain.yaml", "killed", overrides);
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_NE(rest.err.find("resuming from"), std::string::npos) << rest.err;
  ASSERT_EQ(on_ranks(2, "pretrain.yaml", "not-killed", overrides).status, 0);
  expect_equal_checkpoints(folder("not-killed"), folder("killed"), 40);
}

/// mpirun with a command for each of two ranks.
Outcome run_two(const std::string& first, const std::string& second, const std::vector<std::string>& options = {}) {
  std::vector<std::string> words{"timeout", "-k", "5", "120", "mpirun"};
  const std::vector<std::string> usual = mpirun_options();
  words.insert(words.end(), usual.begin(), usual.end());
  words.insert(words.end(), options.begin(), options.end());
  words.insert(words.end(), {"-n", "1", "sh", "-c", first, ":", "-n", "1", "sh", "-c", second});
  return run_command(words);
}

class TwoRanks : public TrainRanks {
 protected:
  static std::string command(const std::vector<std::string>& words) {
    std::string text = "exec " + quoted((bin_dir() / "shine_train").string());
    for (const std::string& word : words) text += ' ' + quoted(word);
    return text;
  }
};

TEST_F(TwoRanks, ARankThatStartsLateIsWaitedFor) {
  const std::string train = command(arguments("pretrain.yaml", "late", {}));
  const Outcome outcome = run_two(train, "sleep 3; " + train);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  expect_same_losses(folder("late"), alone("pretrain.yaml"));
}

TEST_F(TwoRanks, AFullDiskOnTheFirstRankEndsTheJobWithItsReason) {
  // A limit on the size of files stands for the full disk; shared memory would be under it too.
  const std::string train = command(arguments("pretrain.yaml", "full", {}));
  const Outcome outcome = run_two("ulimit -f 32; " + train, train, {"--mca", "btl", "self,tcp"});
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("shine_train: rank 0 of 2: error: " + folder("full").string()), std::string::npos)
      << outcome.err;
  ASSERT_EQ(on_ranks(2, "pretrain.yaml", "full").status, 0);
  expect_same_losses(folder("full"), alone("pretrain.yaml"));
}

TEST_F(TwoRanks, AFaultOfOneRankIsSaidOnceAndEndsAll) {
  const Outcome other = run_two(command(arguments("pretrain.yaml", "one", {})),
                                command(arguments("pretrain.yaml", "one", {"optimizer.beta1=0.8"})));
  EXPECT_EQ(other.status, 1) << other.err;
  EXPECT_NE(other.err.find("differs from rank 0's on rank 1"), std::string::npos) << other.err;
  const Outcome absent = run_two(command(arguments("pretrain.yaml", "two", {})),
                                 command(arguments("pretrain.yaml", "two", {"data.train=[/nowhere/texts.txt]"})));
  EXPECT_EQ(absent.status, 1) << absent.err;
  EXPECT_NE(absent.err.find("shine_train: rank 1 of 2: error: "), std::string::npos) << absent.err;
  EXPECT_NE(absent.err.find("/nowhere/texts.txt"), std::string::npos) << absent.err;
  const Outcome same = on_ranks(2, "pretrain.yaml", "three", {"optimizer.beta_one=0.8"});
  EXPECT_EQ(same.status, 1) << same.err;
  std::size_t said = 0;
  for (const std::string& line : lines_of(same.err)) said += line.find("`beta_one`") != std::string::npos ? 1 : 0;
  EXPECT_EQ(said, 1U) << same.err;
}

TEST_F(TrainRanks, ChangedOptionsThatMatterAreNamedAndNeedLeave) {
  ASSERT_EQ(on_ranks(1, "pretrain.yaml", "changed", {"run.max_steps=4"}).status, 0);
  const std::vector<std::string> changes{"run.max_steps=8", "optimizer.learning_rate=2e-3", "optimizer.accumulation=2"};
  const Outcome refused = on_ranks(1, "pretrain.yaml", "changed", changes);
  EXPECT_EQ(refused.status, 1);
  for (const char* part : {"optimizer.learning_rate", "optimizer.accumulation", "--allow-changes"}) {
    EXPECT_NE(refused.err.find(part), std::string::npos) << refused.err;
  }
  std::vector<std::string> allowed = changes;
  allowed.emplace_back("--allow-changes");
  const Outcome went_on = on_ranks(2, "pretrain.yaml", "changed", allowed);
  ASSERT_EQ(went_on.status, 0) << went_on.err;
  EXPECT_NE(went_on.err.find("the run there has another configuration: "), std::string::npos) << went_on.err;
  EXPECT_NE(went_on.err.find("its schedule has "), std::string::npos) << went_on.err;
  EXPECT_TRUE(fs::exists(folder("changed") / "checkpoints/step-8/DONE"));
  EXPECT_EQ(on_ranks(1, "pretrain.yaml", "changed", {"run.max_steps=10", changes[1], changes[2]}).status, 0)
      << "the changed options are the run's now";
}

}  // namespace
}  // namespace shine::test
