// Weights drawn on the device have the scales of those drawn on the CPU.
#include "bench/random_weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "bench/bench_size.h"

namespace shine::bench {
namespace {

/// Means and standard deviations of few values differ by chance: by 1 / sqrt(values), some times over.
void expect_alike(const at::Tensor& drawn, const at::Tensor& expected, const std::string& name) {
  const double spread = expected.std().item<double>();
  const double chance = 6.0 / std::sqrt(static_cast<double>(expected.numel()));
  EXPECT_NEAR(drawn.mean().item<double>(), expected.mean().item<double>(), chance * spread + 1e-6) << name;
  EXPECT_NEAR(drawn.std().item<double>(), spread, chance * spread + 1e-6) << name;
}

TEST(RandomWeights, HaveTheScalesOfThoseDrawnOnTheCpu) {
  const BenchSize size = find_size("tiny");
  Decoder drawn(size.decoder, {}), expected(size.decoder, {});
  draw_on_device(drawn, /*gain=*/0.7, /*seed=*/1);
  initialise_decoder(expected, /*gain=*/0.7, /*seed=*/2);
  const auto weights = named_tensors(drawn), wanted = named_tensors(expected);
  for (std::size_t i = 0; i < wanted.size(); ++i) expect_alike(weights[i].tensor, wanted[i].tensor, wanted[i].name);
}

TEST(RandomWeights, OfTheHypernetworkLikewise) {
  const BenchSize size = find_size("tiny");
  Decoder decoder(size.decoder, {});
  Hypernetwork drawn(decoder, {.config = size.hypernetwork}), expected(decoder, {.config = size.hypernetwork});
  draw_on_device(drawn);
  expected.initialise(/*seed=*/2);
  const auto all = drawn.tensors(), wanted = expected.tensors();
  for (std::size_t i = 0; i < all.size(); ++i) {
    // in_proj_weight is Xavier-uniform over its three parts at once, and biases of the feed-forward are not zero: both
    // differ from what is drawn here, which is measured and never trained for long.
    const std::string& name = all[i].name;
    if (name.ends_with("in_proj_weight") || (name.find("linear") != std::string::npos && name.ends_with("bias"))) {
      EXPECT_TRUE(all[i].tensor.isfinite().all().item<bool>()) << name;
      continue;
    }
    expect_alike(all[i].tensor.detach(), wanted[i].tensor.detach(), name);
  }
}

}  // namespace
}  // namespace shine::bench
