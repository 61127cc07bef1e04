// The loss over 50 steps in bfloat16 against float32: the same models, data and first values.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "train/tiny_trainer.h"

namespace shine::test {
namespace {

constexpr int kSteps = 50;

/// A sample in every row of a micro-batch, the same in every epoch, so that there is something to learn.
std::vector<ModelBatch> batches_of_step(const Dataset& data, int step) {
  std::vector<ModelBatch> batches;
  for (std::size_t micro = 0; micro < 2; ++micro) {
    const std::size_t first = (2 * static_cast<std::size_t>(step) + micro) * 2;
    batches.push_back(
        make_model_batch({data.sample(0, first % data.size()), data.sample(0, (first + 1) % data.size())}, at::kCPU));
  }
  return batches;
}

std::vector<double> losses(const DecoderConfig& config, at::ScalarType dtype) {
  const auto decoder = tiny_decoder(config, {.dtype = dtype});
  const auto hypernetwork = tiny_hypernetwork(*decoder);
  hypernetwork->initialise(/*seed=*/1);
  const ShineObjective objective(*hypernetwork, /*with_penalty=*/false);
  OptimizerConfig settings;
  AdamW optimizer(make_param_groups(objective.trained(), settings), settings);
  TrainStep step(objective, optimizer, settings, {});
  const TinyDataset data(12);
  std::vector<double> all;
  for (int i = 0; i < kSteps; ++i) all.push_back(step.run(batches_of_step(data, i), /*learning_rate=*/1e-3).loss);
  return all;
}

TEST(BFloat16, LossesStayWithinOnePercentOfFloat32) {
  const std::vector<std::pair<const char*, DecoderConfig>> configs{{"tiny", tiny_config()},
                                                                   {"tiny with biases", tiny_biased_config()}};
  for (const auto& [name, config] : configs) {
    const std::vector<double> wide = losses(config, at::kFloat), narrow = losses(config, at::kBFloat16);
    double largest = 0.0;
    for (std::size_t i = 0; i < wide.size(); ++i) {
      ASSERT_TRUE(std::isfinite(narrow[i])) << name << ", step " << i;
      largest = std::max(largest, std::abs(narrow[i] / wide[i] - 1.0));
    }
    std::printf("%s: loss %.4f to %.4f in float32, %.4f in bfloat16, largest difference %.3f %%\n", name, wide.front(),
                wide.back(), narrow.back(), 100 * largest);
    EXPECT_LT(largest, 0.01) << name;
    EXPECT_GT(largest, 0.0) << name << ": not in bfloat16";
    EXPECT_LT(wide.back(), 0.9 * wide.front()) << name << ": nothing was learned";
  }
}

}  // namespace
}  // namespace shine::test
