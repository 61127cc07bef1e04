// A step over several ranks against the same in one process.
#include <gtest/gtest.h>

#include <mutex>

#include "support/thread_group.h"
#include "train/rank_steps.h"
#include "train/shine_step.h"

namespace shine::test {
namespace {

TEST(TrainStepRanks, AStepIsTheSameForAnyNumberOfRanksWhateverIsDropped) {
  const auto cases = rank_step_cases();
  for (const int ranks : {1, 2, 3, 4}) {
    std::mutex mutex;
    run_ranks(ranks, [&](ProcessGroup& group) {
      for (const StepForm& form : all_step_forms()) {
        for (std::size_t i = 0; i < cases.size(); ++i) {
          const std::string difference = difference_to_one_process(shared(group), form, cases[i]);
          const std::lock_guard lock(mutex);
          EXPECT_EQ(difference, "") << "case " << i << ", rank " << group.rank() << " of " << ranks;
        }
      }
    });
  }
}

std::vector<ModelBatch> samples_of(int rank, int ranks) {
  std::vector<ModelBatch> batches;
  for (std::uint64_t i = static_cast<std::uint64_t>(rank); i < 4; i += static_cast<std::uint64_t>(ranks)) {
    Sample sample;
    sample.context_ids = random_ids(4 + 3 * i, i);
    sample.conversation_ids = random_ids(9 - i, 10 + i);
    sample.labels = sample.conversation_ids;
    batches.push_back(make_model_batch({sample}, at::kCPU));
  }
  return batches;
}

TEST(TrainStepRanks, TheHypernetworkTrainsAlikeOnAnyNumberOfRanks) {
  for (const bool shard : {false, true}) {
    for (const double penalty : {0.0, 0.01}) {
      ShineStep single(penalty, shine_step_config(shard));
      std::vector<StepResult> expected;
      for (int i = 0; i < 3; ++i) expected.push_back(single.step.run(samples_of(0, 1), 0.01));
      for (const auto& [ranks, pass_tokens] : {std::pair{2, 0}, {2, 1000}, {4, 0}}) {
        std::mutex mutex;
        run_ranks(ranks, [&](ProcessGroup& group) {
          ShineStep mine(penalty, shine_step_config(shard, pass_tokens), shared(group));
          std::vector<StepResult> found;
          for (int i = 0; i < 3; ++i) found.push_back(mine.step.run(samples_of(group.rank(), ranks), 0.01));
          const std::lock_guard lock(mutex);
          for (std::size_t i = 0; i < found.size(); ++i) {
            EXPECT_NEAR(found[i].loss / expected[i].loss, 1.0, 1e-6);
            EXPECT_NEAR(found[i].norms.global_norm / expected[i].norms.global_norm, 1.0, 1e-5);
            if (penalty > 0) {
              EXPECT_NEAR(found[i].penalty / expected[i].penalty, 1.0, 1e-6);
            }
          }
          const auto trained = mine.hypernetwork->trained(), wanted = single.hypernetwork->trained();
          for (std::size_t i = 0; i < wanted.size(); ++i) {
            EXPECT_LT(relative_error(trained[i].tensor, wanted[i].tensor), 1e-6) << wanted[i].name;
          }
        });
      }
    }
  }
}

}  // namespace
}  // namespace shine::test
