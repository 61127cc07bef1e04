// Bytes that a step of decoding reads, counted by hand.
#include "bench/decode_floor.h"

#include <gtest/gtest.h>

#include "bench/bench_size.h"

namespace shine::bench {
namespace {

TEST(DecodeFloor, CountsWeightsOnceAndRowsEach) {
  DecoderConfig config;
  config.vocab_size = 10;
  config.hidden_size = config.intermediate_size = config.head_dim = 2;
  config.layers = 3;
  config.heads = config.kv_heads = 1;
  const double weights = 10 * 2 + 3 * 28;
  EXPECT_EQ(bytes_per_step(config, {.rows = 1, .tokens = 0, .lora_rank = 0, .element_size = 4}), 4 * weights);
  EXPECT_EQ(bytes_per_step(config, {.rows = 5, .tokens = 7, .lora_rank = 2, .element_size = 2}),
            2 * (weights + 5 * (3 * 7 * 2 * 2 + 3 * 7 * 2 * 4)));
}

/// Published parameter counts: 0.6B has 0.596e9 with the tied head, 8B 8.19e9 of which 0.62e9 are the embedding alone.
TEST(DecodeFloor, OfPublishedSizes) {
  const auto parameters = [](const char* name) { return bytes_per_step(find_size(name).decoder, {}) / 4; };
  EXPECT_NEAR(parameters("0.6b"), 0.596e9, 0.002e9);
  EXPECT_NEAR(parameters("8b"), 8.19e9 - 0.62e9, 0.01e9);
}

}  // namespace
}  // namespace shine::bench
