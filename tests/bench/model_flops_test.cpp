// The work that shares of the floor are computed from, beside numbers counted by hand.
#include "bench/model_flops.h"

#include <gtest/gtest.h>

#include "bench/bench_size.h"

namespace shine::bench {
namespace {

struct Counted {
  ModelFlops step, generation;
};

Counted count(BenchSize size) {
  const auto shape = M2pShape::of(size.decoder.lora_spec(), size.hypernetwork.lora_rank, size.decoder.hidden_size);
  size.hypernetwork.m2p = resolve_m2p_config(size.hypernetwork.m2p, shape);
  const auto batches = draw_batches(size, /*seed=*/1, /*step=*/0, at::kCPU);
  return {count_flops(size.decoder, size.hypernetwork, shape, batches[0]),
          count_generation_flops(size.decoder, size.hypernetwork, shape, batches[0].contexts.layout)};
}

/// H 2, one layer, one head, every projection 2 x 2: seven of them, 28 weights; r 1 needs M = 14 memory tokens.
BenchSize smallest() {
  BenchSize size;
  size.decoder.vocab_size = 10;
  size.decoder.hidden_size = size.decoder.intermediate_size = size.decoder.head_dim = 2;
  size.decoder.layers = size.decoder.heads = size.decoder.kv_heads = 1;
  size.decoder.tied_embeddings = true;
  size.hypernetwork.lora_rank = 1;
  size.hypernetwork.meta_lora_rank = 3;
  size.hypernetwork.m2p.num_layers = 1;
  size.contexts = {6, 6};
  size.conversations = {8, 8};
  return size;
}

TEST(ModelFlops, AreThoseCountedByHand) {
  const Counted counted = count(smallest());
  // Keys and values of all 20 tokens, the other five projections of the 14 that are read, each of which sees those
  // before it.
  EXPECT_EQ(counted.generation.backbone, 2 * (8 * 20 + 20 * 14));
  EXPECT_EQ(counted.generation.lora, 2 * 3 * (8 * 20 + 20 * 14));
  EXPECT_EQ(counted.generation.attention, 2 * 2 * (20 * 21 / 2 - 6 * 7 / 2) * 2);
  // 4 H^2 + 2 H (2 H) weights at 14 positions; each attends to the one layer.
  EXPECT_EQ(counted.generation.m2p, 2 * (16 + 16) * 14 + 2 * 2 * 14 * 2);
  EXPECT_EQ(counted.generation.head, 0);

  // The second to the seventh of the conversation's tokens predict a label.
  EXPECT_EQ(counted.step.backbone, 4 * (8 * (20 + 8) + 20 * (14 + 6)));
  EXPECT_EQ(counted.step.lora, 6 * (3 * (8 * 20 + 20 * 14) + 1 * (8 * 8 + 20 * 6)));
  EXPECT_EQ(counted.step.attention, 6 * 2 * (189 + (2 + 3 + 4 + 5 + 6 + 7)) * 2);
  EXPECT_EQ(counted.step.m2p, 6 * (16 + 16) * 14 + 6 * 2 * 14 * 2);
  EXPECT_EQ(counted.step.head, 4 * 2 * 10 * 6);  // six of the eight tokens are labelled
}

TEST(ModelFlops, OnlyTheLastLayerLeavesTokensOut) {
  BenchSize size = smallest();
  const ModelFlops one = count(size).generation;
  size.decoder.layers = 2;
  const ModelFlops two = count(size).generation;
  EXPECT_EQ(two.backbone - one.backbone, 2 * 28 * 20);
  EXPECT_EQ(two.attention - one.attention, 2 * 2 * (20 * 21 / 2) * 2);
}

/// TFLOP of one sample with context 1141, conversation 1150, r_m 128, r 8. The tables they come from take a head for
/// every label and the last layer for every token; here a quarter of the conversation has no label, and the last of 28
/// layers is counted where it is read.
TEST(ModelFlops, OfPublishedSizes) {
  EXPECT_NEAR(1e-12 * count(find_size("0.6b")).step.total(), 7.95, 0.07 * 7.95);
  EXPECT_NEAR(1e-12 * count(find_size("1.7b")).step.total(), 21.0, 0.07 * 21.0);
  EXPECT_NEAR(1e-12 * count(find_size("8b")).step.total(), 93.7, 0.07 * 93.7);
}

}  // namespace
}  // namespace shine::bench
