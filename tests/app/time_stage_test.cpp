#include "app/train/time_stage.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "shine/text/message.h"
#include "support/paths.h"
#include "support/thread_group.h"
#include "train/stage.h"
#include "train/tiny_trainer.h"

namespace shine::test {
namespace {

using Ids = std::vector<std::int64_t>;

/// The same rows without contexts.
class Conversations : public TinyDataset {
 public:
  using TinyDataset::TinyDataset;
  Sample sample(std::int64_t epoch, std::size_t index) const override {
    Sample sample = TinyDataset::sample(epoch, index);
    sample.context_ids.clear();
    return sample;
  }
};

class TimeStage : public testing::Test {
 protected:
  /// An experiment around a tiny model, with contexts or, for a plain language model, without.
  Experiment make(bool contexts) const {
    Experiment experiment;
    ExperimentConfig& config = experiment.config;
    config.run.dir = (folder_.path() / "run").string();
    config.optimizer.batch_size = 2;
    config.optimizer.accumulation = 3;
    config.optimizer.learning_rate = 1.0;
    config.text.context_max_length = 10;
    config.text.conversation_max_length = 8;
    experiment.decoder = tiny_decoder();
    experiment.stage = std::make_shared<Stage>();
    if (contexts) {
      experiment.stage->train = std::make_shared<TinyDataset>(12);
      experiment.hypernetwork = tiny_hypernetwork(*experiment.decoder);
      experiment.stage->objective = std::make_shared<ShineObjective>(*experiment.hypernetwork, /*with_penalty=*/false);
    } else {
      experiment.stage->train = std::make_shared<Conversations>(12);
      experiment.decoder->set_trained();
      experiment.stage->objective = std::make_shared<LanguageModelObjective>(*experiment.decoder);
    }
    return experiment;
  }

  TemporaryFolder folder_;
};

TEST_F(TimeStage, MeasuresTheConfiguredStepsAndChangesNothing) {
  const Experiment experiment = make(/*contexts=*/true);
  std::vector<at::Tensor> before;
  for (const TrainedParameter& each : experiment.stage->objective->trained()) before.push_back(each.tensor.clone());
  const StageTime time = time_stage(experiment, single_process());
  EXPECT_EQ(time.device, "cpu");
  EXPECT_EQ(time.ranks, 1);
  ASSERT_EQ(time.steps.size(), 4U);
  for (const StepTime& step : time.steps) {
    EXPECT_GT(step.seconds, 0.0);
    EXPECT_GE(step.tokens, 6 * (2 + 3)) << "six samples a step";
    EXPECT_LE(step.tokens, 6 * (5 + 7));
  }
  ASSERT_EQ(time.lengths.size(), 3U);
  const Ids contexts{2, 5, 10};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(time.lengths[i].context_tokens, contexts[i]);
    EXPECT_EQ(time.lengths[i].conversation_tokens, 8);
    EXPECT_EQ(time.lengths[i].step.tokens, 6 * (contexts[i] + 8));
    EXPECT_GT(time.lengths[i].step.seconds, 0.0);
  }
  const auto after = experiment.stage->objective->trained();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(before[i], after[i].tensor)) << after[i].name;
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(TimeStage, WithoutContextsTheConversationsAreStretched) {
  const StageTime time = time_stage(make(/*contexts=*/false), single_process());
  ASSERT_EQ(time.lengths.size(), 3U);
  const Ids lengths{2, 4, 8};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(time.lengths[i].context_tokens, 0);
    EXPECT_EQ(time.lengths[i].conversation_tokens, lengths[i]);
    EXPECT_EQ(time.lengths[i].step.tokens, 6 * lengths[i]);
  }
}

TEST_F(TimeStage, RanksShareTheMicroBatches) {
  std::vector<std::int64_t> tokens(2);
  run_ranks(2, [&](ProcessGroup& group) {
    const Experiment experiment = make(/*contexts=*/true);
    const StageTime time = time_stage(experiment, shared(group));
    EXPECT_EQ(time.ranks, 2);
    tokens[static_cast<std::size_t>(group.rank())] = time.lengths.back().step.tokens;
  });
  EXPECT_EQ(tokens, (Ids{6 * 18, 6 * 18})) << "of all ranks, on each";
}

TEST(TimeStageSamples, AreRepeatedToALength) {
  const Sample sample{.context_ids = {1, 2, 3}, .conversation_ids = {4, 5}, .labels = {kIgnoredLabel, 5}};
  const Sample longer = stretched(sample, 7, 5);
  EXPECT_EQ(longer.context_ids, (Ids{1, 2, 3, 1, 2, 3, 1}));
  EXPECT_EQ(longer.conversation_ids, (Ids{4, 5, 4, 5, 4}));
  EXPECT_EQ(longer.labels, (Ids{kIgnoredLabel, 5, kIgnoredLabel, 5, kIgnoredLabel}));
  EXPECT_EQ(stretched(sample, 2, 1).context_ids, (Ids{1, 2}));
  EXPECT_TRUE(stretched({.context_ids = {}, .conversation_ids = {1}, .labels = {1}}, 7, 5).context_ids.empty());
}

}  // namespace
}  // namespace shine::test
