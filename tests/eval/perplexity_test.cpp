#include "eval/reconstruction/perplexity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "decoder/tiny_model.h"

namespace shine {
namespace {

Sample sample_of(std::size_t length, std::size_t first_label, std::size_t end_label, std::uint64_t seed) {
  Sample sample;
  sample.context_ids = test::random_ids(5, seed + 1);
  sample.conversation_ids = test::random_ids(length, seed);
  sample.labels.assign(length, -100);
  for (std::size_t i = first_label; i < end_label; ++i) sample.labels[i] = sample.conversation_ids[i];
  return sample;
}

TEST(Perplexity, LossesAreTheMeansOfEachSample) {
  const auto decoder = test::tiny_decoder();
  const LoraTree tree = test::random_tree(decoder->config().lora_spec(), 3, 9);
  const std::vector<Sample> samples = {sample_of(9, 3, 8, 1), sample_of(6, 6, 6, 2), sample_of(7, 1, 7, 3)};
  const ModelBatch batch = make_model_batch(samples, at::kCPU);
  for (const LoraTree* lora : {static_cast<const LoraTree*>(nullptr), &tree}) {
    const std::vector<SampleLoss> losses = sample_losses(*decoder, lora, batch);
    ASSERT_EQ(losses.size(), 3U);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const auto& ids = samples[i].conversation_ids;
      const LoraTree own = test::one_adapter(tree, static_cast<std::int64_t>(i));
      const at::Tensor hidden =
          decoder->forward(TokenRows::pack({ids}, at::kCPU), lora == nullptr ? nullptr : &own);          // (T, H)
      const at::Tensor log_probabilities = at::log_softmax(decoder->logits(hidden).to(at::kDouble), 1);  // (T, V)
      double sum = 0.0;
      std::int64_t count = 0;
      for (std::size_t t = 1; t < ids.size(); ++t) {
        if (samples[i].labels[t] < 0) continue;
        sum -= log_probabilities[static_cast<std::int64_t>(t) - 1][ids[t]].item<double>();
        ++count;
      }
      EXPECT_EQ(losses[i].tokens, count);
      if (count > 0) {
        EXPECT_NEAR(losses[i].loss, sum / static_cast<double>(count), 1e-5) << i;
      } else {
        EXPECT_TRUE(std::isnan(losses[i].loss));
      }
    }
  }
}

}  // namespace
}  // namespace shine
