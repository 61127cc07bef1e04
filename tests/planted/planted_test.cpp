// What a researcher adds to a readable form, and nowhere else, is in effect in training, evaluation and decoding, and
// on every backend. Each suite is a process of its own: forms are compared once in a process.
#include "planted/planted.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "decoder/decoding_step.h"
#include "decoder/tiny_model.h"
#include "kernels/fused.h"
#include "ops/rope.h"

namespace shine::test {

Plant planted = Plant::none;

at::Tensor capped(const at::Tensor& x, Plant plant) {
  constexpr double cap = 0.5;
  return planted == plant ? (x / cap).tanh() * cap : x;
}

at::Tensor planted_rope(const at::Tensor& x, const RopeTable& table) {
  const at::Tensor rotated = apply_rope(x, table);
  if (planted != Plant::partial_rotary) return rotated;
  const std::int64_t half = x.size(-1) / 2;
  return at::cat({rotated.narrow(-1, 0, half), x.narrow(-1, half, half)}, -1);
}

at::Tensor planted_activation(const at::Tensor& x) {
  return planted == Plant::activation ? at::relu(x) : at::gelu(x);
}

namespace {

using Results = TensorMap;

TokenRows pack(const std::vector<std::vector<std::int64_t>>& rows) {
  return TokenRows::pack(rows, at::kCPU);
}

/// A loss with its gradients, the logits of an evaluation, and those of two steps of decoding, by generated LoRAs.
Results results(const Hypernetwork& hypernetwork) {
  const Decoder& decoder = hypernetwork.decoder();
  const auto conversations = random_rows({7, 12}, 1);
  const TokenRows contexts = pack(random_rows({11, 5}, 2));

  const GeneratedLora trained = hypernetwork.generate(contexts);
  const at::Tensor loss =
      decoder.losses(decoder.forward(pack(conversations), &trained.tree), LabelledTokens::of(conversations, at::kCPU))
          .mean();
  loss.backward();
  Results found = take_gradients(hypernetwork.trained());
  for (auto& [name, gradient] : found) gradient = without_key_bias(name, gradient);
  found["loss"] = loss.detach();

  const c10::InferenceMode inference;
  const GeneratedLora lora = hypernetwork.generate(contexts);
  found["evaluation"] = decoder.logits(decoder.forward(pack(conversations), &lora.tree));
  KvCache cache = make_cache(decoder, 2);
  cache.reserve(20);
  found["prompts"] = decoder.logits(decoder.forward(pack(conversations), &lora.tree, cache));
  DecodingStep step(decoder, &lora.tree, cache, /*capture=*/true);
  found["first step"] = step.run({3, 4}, {true, true}).clone();
  found["second step"] = step.run({5, 6}, {true, true}).clone();
  return found;
}

/// @param eps  of the norms: of no other test, so that the layers are compared anew
void expect_in_effect(Plant plant, double eps) {
  DecoderConfig config = tiny_config();
  config.rms_norm_eps = eps;
  const auto decoder = tiny_decoder(config);
  const auto hypernetwork = tiny_hypernetwork(*decoder);

  planted = plant;
  const Results found = results(*hypernetwork);
  const FusedOpsGuard references(FusedOps::off);
  const Results expected = results(*hypernetwork);
  planted = Plant::none;
  const Results without = results(*hypernetwork);

  for (const auto& [name, value] : expected) {
    EXPECT_LT(relative_error(found.at(name), value), 2e-5) << name << " is computed by another form";
  }
  for (const char* name : {"loss", "evaluation", "prompts", "first step", "second step", "mem_tokens"}) {
    EXPECT_GT(relative_error(without.at(name), expected.at(name)), 1e-4) << name << " does not change";
  }
}

TEST(PlantedSoftCap, IsInEffect) {
  expect_in_effect(Plant::soft_cap, 1.1e-6);
}
TEST(PlantedPartialRotary, IsInEffect) {
  expect_in_effect(Plant::partial_rotary, 1.2e-6);
}
TEST(PlantedNormAfterRope, IsInEffect) {
  expect_in_effect(Plant::norm_after_rope, 1.3e-6);
}
TEST(PlantedLogitSoftCap, IsInEffect) {
  expect_in_effect(Plant::logit_soft_cap, 1.4e-6);
}
TEST(PlantedActivation, IsInEffect) {
  expect_in_effect(Plant::activation, 1.5e-6);
}

/// Without one, the same library runs its fused forms.
TEST(PlantedNothing, LeavesTheFusedForms) {
  const auto decoder = tiny_decoder();
  const auto hypernetwork = tiny_hypernetwork(*decoder);
  const Results found = results(*hypernetwork);
  const FusedOpsGuard references(FusedOps::off);
  double worst = 0.0;
  for (const auto& [name, value] : results(*hypernetwork)) {
    const double error = relative_error(found.at(name), value);
    EXPECT_LT(error, 2e-5) << name;
    worst = std::max(worst, error);
  }
  EXPECT_GT(worst, 0.0) << "every number is equal to the last bit: the references ran";
}

}  // namespace
}  // namespace shine::test
