#include "app/train/rank.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <future>

#include "common/process_label.h"
#include "distributed/exchange.h"
#include "distributed/store.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/distributed/launch.h"
#include "support/free_port.h"
#include "support/thread_group.h"

namespace shine::test {
namespace {

TEST(Rank, BuildsByItsOwnDeviceAndThreads) {
  const auto group = single_process();
  Rank rank(*group, at::kCPU, 3);
  ExperimentConfig config;
  config.run.device = "auto";
  config.run.threads = 0;
  const ExperimentConfig own = rank.own_config(config);
  EXPECT_EQ(own.run.device, "cpu");
  EXPECT_EQ(own.run.threads, 3);
  ExperimentConfig rest = own;
  rest.run = config.run;
  EXPECT_EQ(rest, config);
}

/// Counts how often a rank leaves.
class CountedGroup : public ThreadGroup {
 public:
  using ThreadGroup::ThreadGroup;
  void finish() override { ++finished; }
  int finished = 0;
};

TEST(Rank, LeavesOnce) {
  ThreadRoom room(1);
  CountedGroup group(room, 0, 1);
  Rank rank(group, at::kCPU, 1);
  EXPECT_FALSE(rank.has_left());
  rank.leave();
  rank.leave();
  EXPECT_TRUE(rank.has_left());
  EXPECT_EQ(group.finished, 1);
}

TEST(RunRank, AJobOfOneGivesTheBodysStatusOrFault) {
  const auto load = [] {
    ExperimentConfig config;
    config.run.device = "cpu";
    return config;
  };
  const auto status = [&](const ExperimentConfig& config, Rank& rank) {
    EXPECT_EQ(config.run.device, "cpu");
    EXPECT_TRUE(rank.is_first());
    EXPECT_EQ(rank.group().size(), 1);
    return 75;
  };
  EXPECT_EQ(run_rank(load, status), 75);
  EXPECT_THROW(run_rank(load, [](const ExperimentConfig&, Rank&) -> int { throw FormatError("bad"); }), FormatError);
}

/// This process as rank 1 of a job of two that torchrun started, for one test.
class SecondRank {
 public:
  SecondRank() {
    for (const auto& [name, value] : variables_) ::setenv(name, value.c_str(), /*overwrite=*/1);
  }
  ~SecondRank() {
    for (const auto& [name, value] : variables_) ::unsetenv(name);
    set_process_label("");
    set_console_level(LogLevel::debug);
  }

 private:
  std::vector<std::pair<const char*, std::string>> variables_{{"RANK", "1"},
                                                              {"WORLD_SIZE", "2"},
                                                              {"LOCAL_RANK", "1"},
                                                              {"LOCAL_WORLD_SIZE", "2"},
                                                              {"MASTER_ADDR", "127.0.0.1"},
                                                              {"MASTER_PORT", std::to_string(free_port())}};
};

TEST(RunRank, AFaultBeforeTheGroupReachesTheRankThatWaits) {
  const SecondRank second;
  Launch first = read_launch();
  first.rank = first.local_rank = 0;
  auto waiting = std::async(std::launch::async, [&]() -> std::string {
    try {
      join_store(first, /*timeout_seconds=*/60);
      return "all came";
    } catch (const std::exception& error) {
      return error.what();
    }
  });
  const auto settings = []() -> RankSettings { throw ConfigError("unknown key", "a.yaml"); };
  EXPECT_THROW(run_rank(settings, [](Rank&) { return 0; }), ConfigError);
  EXPECT_EQ(waiting.get(), "ends with the job: rank 1: a.yaml: unknown key");
}

/// What each rank's require_same_work throws, where the ranks differ by `change`.
std::vector<std::string> faults(const std::function<void(int, ExperimentConfig&, std::string&)>& change) {
  std::vector<std::string> found(3);
  run_ranks(3, [&](ProcessGroup& group) {
    ExperimentConfig config;
    std::string data = "1";
    change(group.rank(), config, data);
    try {
      require_same_work(group, experiment_yaml(config), {{"backbone", "2"}, {"data", data}});
    } catch (const ConfigError& error) {
      found[static_cast<std::size_t>(group.rank())] = error.what();
    }
  });
  return found;
}

TEST(SameWork, EveryRankNamesWhatDiffers) {
  EXPECT_EQ(faults([](int, ExperimentConfig&, std::string&) {}), (std::vector<std::string>(3)));
  for (const std::string& fault : faults([](int rank, ExperimentConfig&, std::string&data) {
         if (rank == 2) data = "other";
       })) {
    EXPECT_EQ(fault, "content of data: differs from rank 0's on rank 2 (give every machine the same files)");
  }
  for (const std::string& fault : faults([](int rank, ExperimentConfig&config, std::string&) {
         if (rank > 0) config.evaluation.seed = 7;
       })) {
    EXPECT_EQ(fault, "the configuration: differs from rank 0's on rank 1, 2 (start all ranks with the same options)");
  }
}

}  // namespace
}  // namespace shine::test
