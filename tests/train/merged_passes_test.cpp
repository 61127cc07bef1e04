// Steps whose micro-batches share passes, against the same steps with one pass for each.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/paths.h"
#include "train/rank_steps.h"
#include "train/shine_step.h"
#include "train/tiny_trainer.h"

namespace shine::test {
namespace {

using Passes = std::vector<std::int64_t>;

const Rows kFirst{{1, 2, 3}}, kSecond{{4}, {9}}, kThird{{5, 5}, {6}, {2}},
    kUnlabelled{{-100, -100}};  // 5, 6, 10, 4 tokens
const Rows kNaNRow{{QuadraticObjective::kNaNLoss, 5}}, kNaNAll{{QuadraticObjective::kNaNBatch, 5}};  // 4 tokens each
constexpr std::int64_t kNoLimit = 1000;

void expect_same(double found, double expected, const std::string& what) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(found)) << what << ' ' << found;
  } else {
    EXPECT_NEAR(found, expected, 1e-12) << what;
  }
}

void expect_same_step(const StepOutcome& found, const StepOutcome& expected) {
  const StepResult &result = found.result, &wanted = expected.result;
  EXPECT_EQ(result.dropped, wanted.dropped);
  EXPECT_EQ(result.skipped, wanted.skipped);
  EXPECT_EQ(result.labels, wanted.labels);
  EXPECT_EQ(result.tokens, wanted.tokens);
  EXPECT_EQ(result.tallies, wanted.tallies);
  expect_same(result.loss, wanted.loss, "loss");
  expect_same(result.penalty, wanted.penalty, "penalty");
  expect_same(found.weight, expected.weight, "weight");
  if (!wanted.skipped) expect_same(result.norms.global_norm, wanted.norms.global_norm, "norm");
  ASSERT_EQ(result.micro_losses.size(), wanted.micro_losses.size());
  for (std::size_t i = 0; i < wanted.micro_losses.size(); ++i) {
    expect_same(result.micro_losses[i], wanted.micro_losses[i], str("loss of micro-batch ", i));
  }
}

StepOutcome run_merged(StepForm form, std::int64_t pass_tokens, const std::vector<Rows>& micro_batches) {
  form.pass_tokens = pass_tokens;
  return run_rank_step(single_process(), form, micro_batches);
}

TEST(MergedPasses, AStepIsTheSameForAnyLimitWhateverIsDropped) {
  std::vector<std::vector<Rows>> cases = rank_step_cases();
  cases.push_back({kFirst, kSecond, kThird, kUnlabelled, kSecond, kNaNRow, kThird, kFirst});
  cases.push_back({kUnlabelled, kThird, kFirst, kSecond, kFirst});
  for (const StepForm& form : all_step_forms()) {
    if (form.shard || form.pass_tokens > 0) continue;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const StepOutcome expected = run_merged(form, 0, cases[i]);
      for (const std::int64_t limit : {1, 10, 11, 16, 21, 1000}) {
        SCOPED_TRACE(str("case ", i, ", at most ", limit, " tokens"));
        expect_same_step(run_merged(form, limit, cases[i]), expected);
      }
    }
  }
}

TEST(MergedPasses, HoldAtMostSoManyTokensAndALargerMicroBatchIsAlone) {
  const std::vector<Rows> batches{kFirst, kSecond, kThird, kSecond, kUnlabelled, kFirst};  // 5, 6, 10, 6, -, 5 tokens
  const auto passes = [&](std::int64_t limit) { return run_merged({}, limit, batches).passes; };
  EXPECT_EQ(passes(0), (Passes{1, 2, 3, 2, 1}));
  EXPECT_EQ(passes(1), (Passes{1, 2, 3, 2, 1}));
  EXPECT_EQ(passes(9), (Passes{1, 2, 3, 2, 1})) << "the third alone has 10";
  EXPECT_EQ(passes(10), (Passes{1, 2, 3, 2, 1}));
  EXPECT_EQ(passes(11), (Passes{3, 3, 3})) << "what has no label takes no room";
  EXPECT_EQ(passes(16), (Passes{3, 5, 1}));
  EXPECT_EQ(passes(21), (Passes{6, 3}));
  EXPECT_EQ(passes(31), (Passes{8, 1}));
  EXPECT_EQ(passes(32), (Passes{9}));
  EXPECT_EQ(passes(std::numeric_limits<std::int64_t>::max()), (Passes{9}));
}

TEST(MergedPasses, OfALossThatIsNotFiniteAreRunOneByOneAndOnlyTheGuiltyIsDropped) {
  for (const Rows& poisoned : {kNaNRow, kNaNAll}) {
    for (const auto& batches : std::vector<std::vector<Rows>>{
             {kFirst, poisoned, kSecond}, {poisoned, kFirst, kSecond}, {kFirst, kSecond, poisoned}}) {
      for (const LossAverage average : {LossAverage::tokens, LossAverage::micro_batch}) {
        for (const PenaltyConfig& penalty :
             {PenaltyConfig{}, PenaltyConfig{0.3, RegularizerForm::mean}, PenaltyConfig{0.3, RegularizerForm::sum}}) {
          const StepForm form{average, penalty};
          const StepOutcome found = run_merged(form, kNoLimit, batches);
          const StepOutcome without = run_merged(form, 0, {kFirst, kSecond});
          EXPECT_EQ(found.result.dropped, 1);
          EXPECT_FALSE(found.result.skipped);
          expect_same(found.result.loss, without.result.loss, "loss");
          expect_same(found.result.penalty, without.result.penalty, "penalty");
          expect_same(found.weight, without.weight, "weight");
          expect_same_step(found, run_merged(form, 0, batches));
          Passes passes{4};
          for (const Rows& rows : batches) passes.push_back(static_cast<std::int64_t>(rows.size()));
          if (penalty.weight > 0) passes.push_back(3);  // again, without it
          EXPECT_EQ(found.passes, passes);
        }
      }
    }
  }
}

TEST(MergedPasses, ByStepALossThatIsNotFiniteSkipsTheStepAndNothingIsRunAgain) {
  StepForm form;
  form.nonfinite = NonfiniteScope::step;
  for (const Rows& poisoned : {kNaNRow, kNaNAll}) {
    const StepOutcome found = run_merged(form, kNoLimit, {kFirst, poisoned, kSecond});
    EXPECT_TRUE(found.result.skipped);
    EXPECT_EQ(found.weight, 0.5);
    EXPECT_EQ(found.passes, (Passes{4}));
  }
}

Sample sample_of(std::uint64_t seed) {
  Sample sample;
  sample.context_ids = random_ids(3 + seed * 5 % 7, seed);
  sample.conversation_ids = random_ids(4 + seed * 3 % 8, 50 + seed);
  sample.labels = sample.conversation_ids;
  sample.labels[1 + seed % 3] = -100;
  return sample;
}

/// Micro-batches of 2, 1, 3 and 1 samples.
std::vector<std::vector<Sample>> micro_batches_of_samples() {
  std::vector<std::vector<Sample>> all;
  std::uint64_t next = 1;
  for (const int samples : {2, 1, 3, 1}) {
    all.emplace_back();
    for (int i = 0; i < samples; ++i) all.back().push_back(sample_of(next++));
  }
  return all;
}

TEST(MergedPasses, AMergedBatchIsThatOfAllSamples) {
  std::vector<ModelBatch> parts;
  std::vector<Sample> samples;
  for (const auto& micro_batch : micro_batches_of_samples()) {
    parts.push_back(make_model_batch(micro_batch, at::kCPU));
    samples.insert(samples.end(), micro_batch.begin(), micro_batch.end());
  }
  const ModelBatch found = merge_batches(parts), expected = make_model_batch(samples, at::kCPU);
  const auto expect_rows = [](const TokenRows& rows, const TokenRows& wanted) {
    EXPECT_TRUE(rows.ids.equal(wanted.ids));
    EXPECT_EQ(rows.layout.starts, wanted.layout.starts);
    EXPECT_EQ(rows.lowest, wanted.lowest);
    EXPECT_EQ(rows.highest, wanted.highest);
  };
  expect_rows(found.contexts, expected.contexts);
  expect_rows(found.conversations, expected.conversations);
  EXPECT_TRUE(found.labelled.positions.equal(expected.labelled.positions));
  EXPECT_TRUE(found.labelled.targets.equal(expected.labelled.targets));
}

TEST(MergedPasses, TheHypernetworkTrainsAlike) {
  std::vector<ModelBatch> batches;
  for (const auto& samples : micro_batches_of_samples()) batches.push_back(make_model_batch(samples, at::kCPU));
  const std::int64_t two = batches[0].tokens() + batches[1].tokens();
  for (const LossAverage average : {LossAverage::tokens, LossAverage::micro_batch}) {
    for (const double penalty : {0.0, 0.01}) {
      for (const std::int64_t limit : {two, kNoLimit}) {
        OptimizerConfig config = shine_step_config();
        config.loss_average = average;
        ShineStep plain(penalty, config);
        config.pass_tokens = limit;
        ShineStep merged(penalty, config);
        for (int step = 0; step < 2; ++step) {
          const StepResult expected = plain.step.run(batches, 0.01), found = merged.step.run(batches, 0.01);
          EXPECT_NEAR(found.loss / expected.loss, 1.0, 1e-6);
          EXPECT_NEAR(found.norms.global_norm / expected.norms.global_norm, 1.0, 1e-5);
          if (penalty > 0) {
            EXPECT_NEAR(found.penalty / expected.penalty, 1.0, 1e-6);
          }
          for (std::size_t i = 0; i < batches.size(); ++i) {
            EXPECT_NEAR(found.micro_losses[i] / expected.micro_losses[i], 1.0, 1e-6);
          }
        }
        const auto weights = merged.hypernetwork->trained(), wanted = plain.hypernetwork->trained();
        for (std::size_t i = 0; i < wanted.size(); ++i) {
          EXPECT_LT(relative_error(weights[i].tensor, wanted[i].tensor), 1e-6) << wanted[i].name;
          const at::Tensor expected = without_key_bias(wanted[i].name, wanted[i].tensor.grad());
          EXPECT_LT(relative_error(without_key_bias(wanted[i].name, weights[i].tensor.grad()), expected), 2e-5)
              << wanted[i].name;
        }
      }
    }
  }
}

/// Counts the passes of another objective.
class CountedObjective : public Objective {
 public:
  explicit CountedObjective(std::shared_ptr<const Objective> inner) : inner_(std::move(inner)) {}
  ObjectiveValue forward(const ModelBatch& batch) const override {
    ++passes;
    return inner_->forward(batch);
  }
  std::vector<TrainedParameter> trained() const override { return inner_->trained(); }
  std::int64_t softmax_size() const override { return inner_->softmax_size(); }

  mutable int passes = 0;

 private:
  std::shared_ptr<const Objective> inner_;
};

int passes_of(bool shine, const TrainerOptions& options) {
  const auto run = make_run(shine);
  const auto counted = std::make_shared<CountedObjective>(run->stage.objective);
  run->stage.objective = counted;
  train(*run, options);
  return counted->passes;
}

TEST(MergedPasses, OfATrainerGiveTheSameLosses) {
  for (const bool shine : {true, false}) {
    const TemporaryFolder plain, merged;
    TrainerOptions options = options_for(plain.path());
    options.optimizer.accumulation = 4;  // of 9 micro-batches: the last step of an epoch has one
    options.optimizer.epsilon = 1e-2;
    const int single = passes_of(shine, options);
    options.run.dir = merged.path().string();
    options.optimizer.pass_tokens = 40;
    EXPECT_LT(passes_of(shine, options), single);
    const std::vector<Json> found = metrics(merged.path(), "train"), expected = metrics(plain.path(), "train");
    ASSERT_EQ(found.size(), 6U);
    ASSERT_EQ(expected.size(), 6U);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(found[i].at("loss").get<double>(), expected[i].at("loss").get<double>(), 1e-5);
      EXPECT_EQ(found[i].at("labels"), expected[i].at("labels"));
      EXPECT_EQ(found[i].at("tokens"), expected[i].at("tokens"));
    }
  }
}

}  // namespace
}  // namespace shine::test
