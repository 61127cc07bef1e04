#include "shine/train/train_step.h"

#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <cmath>

#include "train/graph_steps.h"
#include "train/shine_step.h"
#include "train/tiny_objective.h"

namespace shine::test {
namespace {

using Rows = std::vector<std::vector<std::int64_t>>;

/// One step of the quadratic objective; no clipping, so that the gradient can be read.
struct QuadraticStep {
  explicit QuadraticStep(LossAverage average, PenaltyConfig penalty = {},
                         NonfiniteScope nonfinite = NonfiniteScope::micro_batch)
      : objective(0.5, penalty.weight > 0),
        config(config_of(average, nonfinite)),
        optimizer(make_param_groups(objective.trained(), config), config),
        step(objective, optimizer, config, penalty) {}

  static OptimizerConfig config_of(LossAverage average, NonfiniteScope nonfinite) {
    OptimizerConfig config;
    config.loss_average = average;
    config.clip = ClipKind::none;
    config.nonfinite = nonfinite;
    return config;
  }

  StepResult run(const std::vector<Rows>& micro_batches) {
    std::vector<ModelBatch> batches;
    for (const Rows& rows : micro_batches) batches.push_back(batch_of(rows));
    return step.run(batches, 0.01);
  }

  QuadraticObjective objective;
  OptimizerConfig config;
  AdamW optimizer;
  TrainStep step;
};

double cost(std::int64_t label) {
  return std::pow(0.5 - static_cast<double>(label) / 10, 2);
}

TEST(TrainStep, AveragesOverTokensOrOverMicroBatches) {
  const std::vector<Rows> batches{{{1, 2, 3}}, {{4}, {9}}};
  QuadraticStep tokens(LossAverage::tokens), means(LossAverage::micro_batch);
  const StepResult by_token = tokens.run(batches), by_mean = means.run(batches);
  const double first = cost(1) + cost(2) + cost(3), second = cost(4) + cost(9);
  EXPECT_NEAR(by_token.loss, (first + second) / 5, 1e-12);
  EXPECT_NEAR(by_mean.loss, (first / 3 + second / 2) / 2, 1e-12);
  // d/dw of a mean of (w - t)^2 is 2 (w - mean t).
  EXPECT_NEAR(tokens.objective.gradient(), 2 * (0.5 - 1.9 / 5), 1e-12);
  EXPECT_NEAR(means.objective.gradient(), 2 * (0.5 - (0.2 + 0.65) / 2), 1e-12);
  for (const StepResult& result : {by_token, by_mean}) {
    ASSERT_EQ(result.micro_losses.size(), 2U);
    EXPECT_NEAR(result.micro_losses[0], first / 3, 1e-12);
    EXPECT_NEAR(result.micro_losses[1], second / 2, 1e-12);
    EXPECT_EQ(result.labels, 5);
    EXPECT_EQ(result.tokens, (4 + 1) + (2 + 1) + (2 + 1));
    EXPECT_EQ(result.dropped, 0);
    EXPECT_FALSE(result.skipped);
  }
}

class DroppedMicroBatches : public testing::TestWithParam<LossAverage> {};
INSTANTIATE_TEST_SUITE_P(Averages, DroppedMicroBatches, testing::Values(LossAverage::tokens, LossAverage::micro_batch),
                         [](const auto& tested) {
                           return std::string(config_names(LossAverage{})[static_cast<std::size_t>(tested.param)]);
                         });

/// `with` must do what `without` does, but for the count of dropped micro-batches.
void expect_as_if_absent(LossAverage average, const PenaltyConfig& penalty, const std::vector<Rows>& with,
                         const std::vector<Rows>& without) {
  QuadraticStep found(average, penalty), expected(average, penalty);
  const StepResult result = found.run(with), wanted = expected.run(without);
  EXPECT_EQ(result.dropped, static_cast<int>(with.size() - without.size()));
  EXPECT_FALSE(result.skipped);
  EXPECT_NEAR(result.loss, wanted.loss, 1e-12);
  EXPECT_NEAR(result.penalty, wanted.penalty, 1e-12);
  EXPECT_EQ(result.labels, wanted.labels);
  EXPECT_NEAR(result.norms.global_norm, wanted.norms.global_norm, 1e-12);
  EXPECT_NEAR(found.objective.weight(), expected.objective.weight(), 1e-12);
}

TEST_P(DroppedMicroBatches, CountAsIfTheyHadNotBeenThere) {
  const Rows first{{1, 2, 3}}, second{{4}, {9}}, unlabelled{{-100, -100}, {-100}};
  const Rows nan{{QuadraticObjective::kNaNLoss, 5, 6, 7}};
  expect_as_if_absent(GetParam(), {}, {first, unlabelled, second}, {first, second});
  expect_as_if_absent(GetParam(), {}, {nan, first, second}, {first, second});
  expect_as_if_absent(GetParam(), {}, {first, nan, second, unlabelled, nan}, {first, second});
  expect_as_if_absent(GetParam(), {}, {unlabelled, nan, second}, {second});
}

TEST_P(DroppedMicroBatches, CountAsIfTheyHadNotBeenThereForThePenaltyToo) {
  const Rows first{{1, 2, 3}}, second{{4}, {9}}, unlabelled{{-100, -100}, {-100}};
  const Rows nan{{QuadraticObjective::kNaNLoss, 5, 6, 7}};
  for (const RegularizerForm form : {RegularizerForm::mean, RegularizerForm::sum}) {
    expect_as_if_absent(GetParam(), {0.3, form}, {first, unlabelled, second}, {first, second});
    expect_as_if_absent(GetParam(), {0.3, form}, {first, nan, second}, {first, second});
    expect_as_if_absent(GetParam(), {0.3, form}, {first, second, nan, unlabelled}, {first, second});
  }
}

TEST_P(DroppedMicroBatches, AllDroppedSkipsTheStep) {
  QuadraticStep step(GetParam());
  const StepResult result = step.run({{{-100}}, {{QuadraticObjective::kNaNLoss}}});
  EXPECT_EQ(result.dropped, 2);
  EXPECT_TRUE(result.skipped);
  EXPECT_EQ(result.labels, 0);
  EXPECT_TRUE(std::isnan(result.micro_losses.at(0)) && std::isnan(result.micro_losses.at(1)));
  EXPECT_EQ(step.objective.weight(), 0.5);
  EXPECT_EQ(step.optimizer.steps(), 0);
}

TEST_P(DroppedMicroBatches, AGradientThatIsNotFiniteSkipsTheStepAndLeavesNothingBehind) {
  QuadraticStep step(GetParam()), fresh(GetParam());
  const StepResult result = step.run({{{1, 2}}, {{QuadraticObjective::kNaNGradient}}});
  EXPECT_TRUE(result.skipped);
  EXPECT_EQ(result.dropped, 0);
  EXPECT_FALSE(result.norms.finite);
  EXPECT_EQ(step.objective.weight(), 0.5);
  EXPECT_EQ(step.optimizer.steps(), 0);
  const StepResult next = step.run({{{1, 2}}});
  EXPECT_FALSE(next.skipped);
  EXPECT_EQ(next.loss, fresh.run({{{1, 2}}}).loss);
  EXPECT_EQ(step.objective.weight(), fresh.objective.weight());
}

const std::vector<PenaltyConfig>& penalties() {
  static const std::vector<PenaltyConfig> all{{}, {0.3, RegularizerForm::mean}, {0.3, RegularizerForm::sum}};
  return all;
}

TEST_P(DroppedMicroBatches, ByStepALossThatIsNotFiniteSkipsItAndLeavesNothingBehind) {
  const Rows good{{1, 2}}, nan{{QuadraticObjective::kNaNLoss, 5}};
  for (const PenaltyConfig& penalty : penalties()) {
    QuadraticStep step(GetParam(), penalty, NonfiniteScope::step), fresh(GetParam(), penalty, NonfiniteScope::step);
    for (const std::vector<Rows>& batches : std::vector<std::vector<Rows>>{{good, nan}, {nan, good, good}, {nan}}) {
      const StepResult result = step.run(batches);
      EXPECT_TRUE(result.skipped);
      EXPECT_EQ(result.dropped, 1);
      EXPECT_TRUE(std::isnan(result.loss));
      EXPECT_EQ(step.objective.weight(), 0.5);
      EXPECT_EQ(step.optimizer.steps(), 0);
      for (const auto& [name, moment] : step.optimizer.state()) {
        EXPECT_EQ(moment.abs().max().item<double>(), 0.0) << name;
      }
    }
    const StepResult next = step.run({good, good});
    EXPECT_FALSE(next.skipped);
    EXPECT_EQ(next.loss, fresh.run({good, good}).loss);
    EXPECT_EQ(step.objective.weight(), fresh.objective.weight());
  }
}

TEST_P(DroppedMicroBatches, ByStepTheNumbersOfFiniteStepsAreTheSame) {
  const std::vector<Rows> batches{{{1, 2, 3}}, {{-100}}, {{4}, {9}}};
  for (const PenaltyConfig& penalty : penalties()) {
    QuadraticStep by_batch(GetParam(), penalty), by_step(GetParam(), penalty, NonfiniteScope::step);
    for (int i = 0; i < 3; ++i) {
      const StepResult expected = by_batch.run(batches), found = by_step.run(batches);
      EXPECT_EQ(found.loss, expected.loss);
      EXPECT_EQ(found.penalty, expected.penalty);
      EXPECT_EQ(found.labels, expected.labels);
      EXPECT_EQ(found.dropped, 1);
      EXPECT_EQ(found.micro_losses[0], expected.micro_losses[0]);
      EXPECT_TRUE(std::isnan(found.micro_losses[1]));
      EXPECT_EQ(by_step.objective.weight(), by_batch.objective.weight());
    }
  }
}

/// Numbers read on the host during a step of so many micro-batches.
int host_reads(NonfiniteScope nonfinite, std::size_t micro_batches, std::int64_t pass_tokens = 0) {
  OptimizerConfig config = shine_step_config(/*shard=*/false, pass_tokens);
  config.nonfinite = nonfinite;
  ShineStep step(/*penalty=*/0.01, config);
  Sample sample;
  sample.context_ids = random_ids(5, 1);
  sample.conversation_ids = random_ids(6, 2);
  sample.labels = sample.conversation_ids;
  const std::vector<ModelBatch> batches(micro_batches, make_model_batch({sample}, at::kCPU));
  step.step.run(batches, 0.01);  // the first step looks at the processor too
  static int reads;
  reads = 0;
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback([](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
        if (std::string_view(function.name()) == "aten::_local_scalar_dense") ++reads;
        return nullptr;
      }).scopes({at::RecordScope::FUNCTION}));
  step.step.run(batches, 0.01);
  at::removeCallback(handle);
  return reads;
}

TEST(TrainStep, ByStepNoLossIsReadBetweenMicroBatches) {
  const int by_batch = host_reads(NonfiniteScope::micro_batch, 4) - host_reads(NonfiniteScope::micro_batch, 1);
  const int by_step = host_reads(NonfiniteScope::step, 4) - host_reads(NonfiniteScope::step, 1);
  EXPECT_EQ(by_batch, 3) << "one in each more micro-batch";
  EXPECT_EQ(by_step, 0);
}

TEST(TrainStep, OneLossIsReadInAPassOfSeveralMicroBatches) {
  for (const NonfiniteScope scope : {NonfiniteScope::micro_batch, NonfiniteScope::step}) {
    EXPECT_EQ(host_reads(scope, 4, /*pass_tokens=*/1000), host_reads(scope, 1));
  }
}

TEST(TrainStep, PenaltyIsTheMeanOverSamplesOrThePublishedSum) {
  const std::vector<Rows> batches{{{1}, {2}, {3}}, {{4}}};  // 4 samples in 2 micro-batches, each with penalty 0.25
  for (const LossAverage average : {LossAverage::tokens, LossAverage::micro_batch}) {
    QuadraticStep mean(average, {0.3, RegularizerForm::mean}), sum(average, {0.3, RegularizerForm::sum}), none(average);
    EXPECT_NEAR(mean.run(batches).penalty, 0.3 * 0.25, 1e-12);
    EXPECT_NEAR(sum.run(batches).penalty, 0.3 * (3 * 0.25 + 0.25) / 2, 1e-12);
    EXPECT_EQ(none.run(batches).penalty, 0.0);
    const double loss_gradient = none.objective.gradient();
    EXPECT_NEAR(mean.objective.gradient() - loss_gradient, 0.3 * 2 * 0.5, 1e-12);
    EXPECT_NEAR(sum.objective.gradient() - loss_gradient, 0.3 * 2 * 0.5 * 4 / 2, 1e-12);
  }
}

TEST(TrainStep, TheGraphedM2pTakesTheSameSteps) {
  const GraphSteps found = take_graph_steps(CudaGraph::on, at::kCPU, at::kFloat);
  const GraphSteps expected = take_graph_steps(CudaGraph::off, at::kCPU, at::kFloat);
  EXPECT_EQ(found.losses, expected.losses);
  for (std::size_t i = 0; i < expected.trained.size(); ++i) {
    EXPECT_TRUE(at::equal(found.trained[i].tensor, expected.trained[i].tensor)) << expected.trained[i].name;
  }
}

TEST(TrainStep, ABatchOfFourEqualsAnAccumulationOfFour) {
  std::vector<Sample> samples;
  for (std::uint64_t i = 0; i < 4; ++i) {
    Sample sample;
    sample.context_ids = random_ids(4 + 3 * i, i);
    sample.conversation_ids = random_ids(9 - i, 10 + i);
    sample.labels = sample.conversation_ids;
    sample.labels[1] = -100;
    samples.push_back(sample);
  }
  for (const double penalty : {0.0, 0.01}) {
    ShineStep batched(penalty), accumulated(penalty);
    std::vector<ModelBatch> singles;
    for (const Sample& sample : samples) singles.push_back(make_model_batch({sample}, at::kCPU));
    const StepResult one = batched.step.run({make_model_batch(samples, at::kCPU)}, 0.01);
    const StepResult four = accumulated.step.run(singles, 0.01);
    EXPECT_NEAR(four.loss / one.loss, 1.0, 1e-6);
    EXPECT_EQ(four.labels, one.labels);
    EXPECT_EQ(four.tokens, one.tokens);
    EXPECT_NEAR(four.norms.global_norm / one.norms.global_norm, 1.0, 1e-5);
    if (penalty > 0) {
      EXPECT_NEAR(four.penalty / one.penalty, 1.0, 1e-6);
    }
    const auto trained = batched.hypernetwork->trained();
    const auto others = accumulated.hypernetwork->trained();
    for (std::size_t i = 0; i < trained.size(); ++i) {
      EXPECT_LT(relative_error(others[i].tensor, trained[i].tensor), 1e-6) << trained[i].name;
      const at::Tensor expected = without_key_bias(trained[i].name, trained[i].tensor.grad());
      EXPECT_GT(expected.norm().item<double>(), 0.0) << trained[i].name;
      EXPECT_LT(relative_error(without_key_bias(trained[i].name, others[i].tensor.grad()), expected), 1e-5)
          << trained[i].name;
    }
  }
}

}  // namespace
}  // namespace shine::test
