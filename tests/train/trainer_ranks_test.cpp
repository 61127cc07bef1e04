// Runs of a trainer over ranks that are threads.
#include <gtest/gtest.h>

#include <mutex>

#include "shine/common/error.h"
#include "support/paths.h"
#include "support/thread_group.h"
#include "train/tiny_trainer.h"

namespace shine::test {
namespace {

std::vector<NamedTensor> copies(const Run& run) {
  auto weights = named_weights(run);
  for (auto& [name, tensor] : weights) tensor = tensor.detach().clone();
  return weights;
}

class TrainerRanks : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Stages, TrainerRanks, testing::Bool(),
                         [](const auto& tested) { return std::string(tested.param ? "Shine" : "Backbone"); });

TEST_P(TrainerRanks, AllStartWithTheFirstRanksTensors) {
  const TemporaryFolder folder;
  const auto first = copies(*make_run(GetParam(), 1));
  std::mutex mutex;
  run_ranks(3, [&](ProcessGroup& group) {
    const auto run = make_run(GetParam(), 1 + static_cast<std::uint64_t>(group.rank()));
    const Trainer trainer(run->stage, options_for(folder.path()), shared(group));
    const auto mine = copies(*run);
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < first.size(); ++i) {
      EXPECT_TRUE(at::equal(mine[i].tensor, first[i].tensor)) << first[i].name << " of rank " << group.rank();
    }
  });
}

TEST_P(TrainerRanks, AResumeBringsWeightsAndMomentsToEveryRank) {
  for (const bool shard : {false, true}) {
    const TemporaryFolder whole, halves;
    const auto train_on = [&](const std::filesystem::path& folder, std::int64_t max_steps, std::uint64_t seed) {
      run_ranks(2, [&](ProcessGroup& group) {
        TrainerOptions options = options_for(folder);
        options.run.max_steps = max_steps;
        options.optimizer.shard = shard;
        const auto run = make_run(GetParam(), seed + static_cast<std::uint64_t>(group.rank()));
        Trainer(run->stage, options, shared(group)).run();
      });
    };
    train_on(whole.path(), 0, 1);
    train_on(halves.path(), 5, 1);
    train_on(halves.path(), 0, 7);  // other weights to start with, on either rank
    for (const char* file : {"trained.safetensors", "optimizer.safetensors"}) {
      EXPECT_TRUE(read_text_file(halves.path() / "checkpoints/step-10" / file) ==
                  read_text_file(whole.path() / "checkpoints/step-10" / file))
          << file;
    }
  }
}

/// Trains on two ranks; during step 3 a tensor of rank 1 diverges. The message on every rank.
std::vector<std::string> faults_of_astray(TrainerOptions options, const std::string& astray) {
  std::vector<std::string> faults(2);
  run_ranks(2, [&](ProcessGroup& group) {
    const auto run = make_run(/*shine=*/true);
    TrainerOptions mine = options;
    int steps = -1;  // asked once before the first step
    mine.stop_reason = [&]() -> std::string {
      if (group.rank() != 1 || ++steps != 3) return "";
      const at::NoGradGuard no_grad;
      for (auto& [name, tensor] : named_weights(*run)) {
        if (name == astray) tensor.add_(1e-3);
      }
      return "";
    };
    try {
      Trainer(run->stage, mine, shared(group)).run();
    } catch (const DivergenceError& error) {
      faults[static_cast<std::size_t>(group.rank())] = error.what();
    }
  });
  return faults;
}

TEST(TrainerRanksCheck, ATensorThatPartsEndsTheRunOnAllRanksByItsName) {
  const TemporaryFolder folder;
  TrainerOptions options = options_for(folder.path());
  options.validation.at_start = false;
  options.run.check_every = 2;
  for (const std::string& fault : faults_of_astray(options, "metalora.0.attention.q.B")) {
    EXPECT_EQ(fault.find("metalora.0.attention.q.B: differs from rank 0's on rank 1 after step 4"), 0U) << fault;
  }
}

TEST(TrainerRanksCheck, RanksThatHavePartedSaveNothing) {
  const TemporaryFolder folder;
  TrainerOptions options = options_for(folder.path());
  options.validation.at_start = false;
  options.run.check_every = 1000;
  options.checkpoint.every_steps = 2;
  for (const std::string& fault : faults_of_astray(options, "mem_tokens")) {
    EXPECT_EQ(fault.find("mem_tokens: differs from rank 0's on rank 1 after step 4"), 0U) << fault;
  }
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "checkpoints/step-2"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "checkpoints/step-4"));
}

TEST(TrainerRanksCheck, RanksWithOtherDataOrSettingsDoNotStart) {
  const TemporaryFolder folder;
  for (const bool data : {false, true}) {
    std::vector<std::string> faults(2);
    run_ranks(2, [&](ProcessGroup& group) {
      const auto run = make_run(/*shine=*/false);
      TrainerOptions options = options_for(folder.path());
      if (group.rank() == 1) {
        if (data) run->stage.train = std::make_shared<TinyDataset>(18, /*fingerprint=*/2);
        if (!data) options.config_yaml = "x: 2\n";
      }
      try {
        const Trainer trainer(run->stage, options, shared(group));
      } catch (const ConfigError& error) {
        faults[static_cast<std::size_t>(group.rank())] = error.what();
      }
    });
    for (const std::string& fault : faults) {
      EXPECT_EQ(fault.find(data ? "content of train: differs" : "the configuration: differs"), 0U) << fault;
    }
  }
}

}  // namespace
}  // namespace shine::test
