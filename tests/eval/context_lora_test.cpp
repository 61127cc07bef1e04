// Per-context fine-tuning against plain formulas.
#include "shine/eval/context_lora.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <string>

#include "decoder/tiny_model.h"
#include "shine/common/error.h"

namespace shine::test {
namespace {

RenderedConversation conversation(std::size_t length, std::uint64_t seed) {
  RenderedConversation one;
  one.ids = random_ids(length, seed);
  one.labels = one.ids;
  for (std::size_t i = 0; i < length / 2; ++i) one.labels[i] = kIgnoredLabel;
  return one;
}

/// Sum and count of -log softmax(logits)[next] over labelled positions, in float64.
double reference_loss(const Decoder& decoder, const LoraTree* lora, const std::vector<RenderedConversation>& all) {
  const at::NoGradGuard no_grad;
  double sum = 0.0;
  int count = 0;
  for (const RenderedConversation& one : all) {
    const at::Tensor hidden = decoder.forward(TokenRows::pack({one.ids}, at::kCPU), lora);
    const at::Tensor log_probabilities = decoder.logits(hidden).to(at::kDouble).log_softmax(-1);
    for (std::size_t i = 1; i < one.ids.size(); ++i) {
      if (one.labels[i] == kIgnoredLabel) continue;
      sum -= log_probabilities[static_cast<std::int64_t>(i) - 1][one.labels[i]].item<double>();
      ++count;
    }
  }
  return sum / count;
}

SftConfig config() {
  SftConfig sft;
  sft.rank = 2;
  sft.learning_rate = 1e-2;
  sft.epochs = 1;
  return sft;
}

LoraTree initial_tree(const Decoder& decoder, const SftConfig& sft, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return make_meta_lora(decoder.config().lora_spec(), sft.rank, sft.init_scale, generator);
}

TEST(ContextLora, LossesAreCrossEntropy) {
  const auto decoder = tiny_decoder();
  const std::vector<RenderedConversation> some{conversation(20, 1), conversation(13, 2)};
  EXPECT_NEAR(mean_loss(*decoder, nullptr, some), reference_loss(*decoder, nullptr, some), 1e-5);
  LoraTree tree = initial_tree(*decoder, config(), 4);
  std::uint64_t seed = 50;
  for_each_tensor(tree, [&](const std::string&, at::Tensor& tensor) {
    tensor = random_tensor(tensor.sizes().vec(), ++seed) * 0.3;
  });
  const double adapted = reference_loss(*decoder, &tree, some);
  EXPECT_NEAR(mean_loss(*decoder, &tree, some), adapted, 1e-5);
  EXPECT_GT(std::abs(adapted - reference_loss(*decoder, nullptr, some)), 1e-3);
}

TEST(ContextLora, NothingLabelledIsNaN) {
  const auto decoder = tiny_decoder();
  RenderedConversation bare = conversation(8, 1);
  std::fill(bare.labels.begin(), bare.labels.end(), kIgnoredLabel);
  EXPECT_TRUE(std::isnan(mean_loss(*decoder, nullptr, {bare})));
  EXPECT_THROW(train_context_lora(*decoder, {bare}, config(), 1), ConfigError);
}

TEST(ContextLora, TheFirstStepIsAdamWFromTheUntouchedModel) {
  const auto decoder = tiny_decoder(tiny_biased_config());
  const RenderedConversation one = conversation(24, 3);
  const SftConfig sft = config();
  const auto trained = train_context_lora(*decoder, {one}, sft, 9);
  ASSERT_TRUE(trained);
  ASSERT_EQ(trained->losses.size(), 1U);
  EXPECT_NEAR(trained->losses[0], reference_loss(*decoder, nullptr, {one}), 1e-5);
  // B starts at zero: A has no gradient yet and only decays; B and C move by the rate against the gradient's sign.
  LoraTree tree = trained->tree;
  const LoraTree start = initial_tree(*decoder, sft, 9);
  for (std::size_t layer = 0; layer < tree.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      const LoraWeights& found = tree.layers[layer][p];
      const LoraWeights& first = start.layers[layer][p];
      EXPECT_LT(relative_error(found.a, first.a * (1 - sft.learning_rate * sft.weight_decay)), 1e-6);
      EXPECT_FALSE(found.a.requires_grad());
      EXPECT_NEAR(found.b.abs().max().item<double>(), sft.learning_rate, 1e-4 * sft.learning_rate);
    }
  }
  LoraTree moved = start;
  std::size_t raised = 0, lowered = 0;
  for (const double sign : {1e-3, -1e-3}) {  // finite difference along B's move
    for (std::size_t layer = 0; layer < moved.layers.size(); ++layer) {
      for (const Projection p : kProjections) moved.layers[layer][p].b = tree.layers[layer][p].b * sign;
    }
    (reference_loss(*decoder, &moved, {one}) > trained->losses[0] ? raised : lowered) += 1;
  }
  EXPECT_EQ(raised, 1U);
  EXPECT_EQ(lowered, 1U);
}

TEST(ContextLora, IsAdamWByTheFormulaWithALinearlyFallingRate) {
  const auto decoder = tiny_decoder();
  const std::vector<RenderedConversation> some{conversation(12, 1), conversation(15, 2)};
  SftConfig sft = config();
  sft.weight_decay = 0.5;
  sft.epochs = 2;
  LoraTree tree = initial_tree(*decoder, sft, 5);
  std::map<std::string, std::array<at::Tensor, 2>> moments;
  for (int step = 0; step < 4; ++step) {
    for_each_tensor(tree, [](const std::string&, at::Tensor& tensor) { tensor = tensor.detach().requires_grad_(); });
    const RenderedConversation& one = some[static_cast<std::size_t>(step) % 2];
    const LabelledTokens labelled = LabelledTokens::of({one.labels}, at::kCPU);
    decoder->losses(decoder->forward(TokenRows::pack({one.ids}, at::kCPU), &tree), labelled).mean().backward();
    const double rate = sft.learning_rate * (4 - step) / 4;
    const at::NoGradGuard no_grad;
    for_each_tensor(tree, [&](const std::string& name, at::Tensor& tensor) {
      const at::Tensor gradient = tensor.grad();
      auto& [first, second] = moments[name];
      first = 0.1 * gradient + (first.defined() ? 0.9 * first : at::zeros_like(gradient));
      second = 0.001 * gradient * gradient + (second.defined() ? 0.999 * second : at::zeros_like(gradient));
      const at::Tensor m = first / (1 - std::pow(0.9, step + 1)), v = second / (1 - std::pow(0.999, step + 1));
      tensor = tensor.detach() * (1 - rate * sft.weight_decay) - rate * m / (v.sqrt() + 1e-8);
    });
  }
  const auto trained = train_context_lora(*decoder, some, sft, 5);
  ASSERT_TRUE(trained);
  EXPECT_EQ(trained->losses.size(), 4U);
  for (std::size_t layer = 0; layer < tree.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      EXPECT_LT(relative_error(trained->tree.layers[layer][p].a, tree.layers[layer][p].a), 1e-3);
      EXPECT_LT(relative_error(trained->tree.layers[layer][p].b, tree.layers[layer][p].b), 1e-3);
    }
  }
}

TEST(ContextLora, TheLossFallsAndTheDecoderStays) {
  const auto decoder = tiny_decoder();
  std::vector<at::Tensor> before;
  for (const at::Tensor& weight : decoder->parameters()) before.push_back(weight.clone());
  const std::vector<RenderedConversation> some{conversation(20, 1), conversation(16, 2)};
  SftConfig sft = config();
  sft.epochs = 30;
  const auto trained = train_context_lora(*decoder, some, sft, 1);
  ASSERT_TRUE(trained);
  EXPECT_EQ(trained->losses.size(), 60U);
  EXPECT_LT(mean_loss(*decoder, &trained->tree, some), 0.7 * mean_loss(*decoder, nullptr, some));
  std::size_t i = 0;
  for (const auto& [name, weight] : named_tensors(*decoder)) {
    EXPECT_TRUE(at::equal(weight, before[i++])) << name;
    EXPECT_FALSE(weight.requires_grad()) << name;
  }
  const auto again = train_context_lora(*decoder, some, sft, 1);
  EXPECT_EQ(again->losses, trained->losses);
  EXPECT_NE(train_context_lora(*decoder, some, sft, 2)->losses, trained->losses);
}

TEST(ContextLora, StopsBetweenSteps) {
  const auto decoder = tiny_decoder();
  int asked = 0;
  SftConfig sft = config();
  sft.epochs = 5;
  EXPECT_FALSE(train_context_lora(*decoder, {conversation(12, 1)}, sft, 1, [&] { return ++asked == 3; }));
  EXPECT_EQ(asked, 3);
}

TEST(ContextLora, JoinedAdaptersServeTheirRows) {
  const auto decoder = tiny_decoder();
  SftConfig sft = config();
  const LoraTree first = train_context_lora(*decoder, {conversation(20, 1)}, sft, 1)->tree;
  const LoraTree second = train_context_lora(*decoder, {conversation(20, 2)}, sft, 2)->tree;
  const LoraTree both = join_adapters({first, second});
  EXPECT_EQ(both.adapters(), 2);
  const at::NoGradGuard no_grad;
  const auto rows = random_rows({7, 9}, 30);
  const at::Tensor joint = decoder->forward(TokenRows::pack(rows, at::kCPU), &both);
  const at::Tensor alone = at::cat({decoder->forward(TokenRows::pack({rows[0]}, at::kCPU), &first),
                                    decoder->forward(TokenRows::pack({rows[1]}, at::kCPU), &second)});
  EXPECT_LT(relative_error(joint, alone), 1e-5);
}

}  // namespace
}  // namespace shine::test
