#include "models/decoder/keep_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "models/tiny_model.h"
#include "ops/cpu/attention_sublayer.h"
#include "ops/cpu/mlp_sublayer.h"

namespace shine::test {
namespace {

constexpr std::int64_t kRank = 3;

std::int64_t again(const std::vector<LayerKeep>& plan, Keep LayerKeep::*part) {
  return std::ranges::count(plan, Keep::input, part);
}

/// What a plan keeps of one pass.
std::int64_t bytes(const std::vector<LayerKeep>& plan, std::int64_t tokens) {
  const KeptBytes each = kept_bytes(tiny_config(), at::kFloat, kRank);
  std::int64_t sum = 0;
  for (const LayerKeep& layer : plan) {
    sum += each.inputs + (layer.attention == Keep::all ? each.attention : 0) + (layer.mlp == Keep::all ? each.mlp : 0);
  }
  return sum * tokens;
}

template <std::size_t n>
std::array<SublayerLora, n> zero_lora(const std::array<PreparedLinear, n>& linear) {
  std::array<SublayerLora, n> lora;
  for (std::size_t p = 0; p < n; ++p) {
    lora[p] = {at::zeros({1, linear[p].in, kRank}), at::zeros({1, kRank, linear[p].out}), {}};
  }
  return lora;
}

std::int64_t size_of(const std::vector<at::Tensor>& tensors) {
  std::int64_t sum = 0;
  for (const at::Tensor& each : tensors) sum += static_cast<std::int64_t>(each.nbytes());
  return sum;
}

TEST(KeepPlan, CountsWhatTheSubLayersKeep) {
  if (!sublayers_run(at::kFloat, at::kCPU)) GTEST_SKIP() << "no AVX-512";
  const DecoderConfig config = tiny_config();
  const LoraSpec spec = config.lora_spec();
  const auto prepared = [&](Projection p) { return prepare_linear(at::zeros({spec[p].out, spec[p].in}), {}); };
  const KeptBytes each = kept_bytes(config, at::kFloat, kRank);
  constexpr std::int64_t tokens = 9;
  const at::Tensor x = at::zeros({tokens, config.hidden_size});

  MlpWeights mlp;
  mlp.norm = at::ones({config.hidden_size});
  mlp.linear = {prepared(Projection::gate), prepared(Projection::up), prepared(Projection::down)};
  const auto mlp_lora = zero_lora(mlp.linear);
  cpu::MlpSublayer<float>::Kept mlp_kept;
  cpu::MlpSublayer<float>(mlp, mlp_lora, at::kFloat).forward(x, {0, tokens}, &mlp_kept);
  EXPECT_EQ(size_of({mlp_kept.inverse, mlp_kept.gate_up, mlp_kept.down_in, mlp_kept.down_out}), tokens * each.mlp);

  AttentionWeights attention;
  attention.norm = at::ones({config.hidden_size});
  attention.linear = {prepared(Projection::q), prepared(Projection::k), prepared(Projection::v),
                      prepared(Projection::o)};
  attention.heads = config.heads;
  attention.kv_heads = config.kv_heads;
  attention.head_dim = config.head_dim;
  const auto attention_lora = zero_lora(attention.linear);
  SublayerBatch batch;
  batch.rows.push(tokens);
  batch.cos = batch.sin = at::zeros({tokens, config.head_dim / 2});
  batch.spans = {0, tokens};
  cpu::AttentionSublayer<float>::Kept kept;
  cpu::AttentionSublayer<float>(attention, attention_lora, at::kFloat).forward(x, batch, nullptr, kept);
  EXPECT_EQ(size_of({kept.inverse, kept.q_raw, kept.k_raw, kept.v, kept.attention.out, kept.attention.log_sums,
                     kept.down_in, kept.down_out}),
            tokens * each.attention);
}

TEST(KeepPlan, KeepsWhatTheBudgetAllows) {
  constexpr std::int64_t tokens = 10;
  const std::int64_t layers = tiny_config().layers;
  const std::vector<LayerKeep> all(static_cast<std::size_t>(layers)),
      none(static_cast<std::size_t>(layers), {Keep::input, Keep::input});
  const std::int64_t everything = bytes(all, tokens), least = bytes(none, tokens);
  const KeptBytes each = kept_bytes(tiny_config(), at::kFloat, kRank);
  for (std::int64_t budget = least; budget <= everything; budget += 100) {
    const auto plan = plan_keep(tiny_config(), at::kFloat, kRank, tokens, budget);
    EXPECT_LE(bytes(plan, tokens), budget);
    // One sub-layer more would be too much.
    if (again(plan, &LayerKeep::attention) > 0) {
      EXPECT_EQ(again(plan, &LayerKeep::mlp), layers);
      EXPECT_GT(bytes(plan, tokens) + tokens * each.attention, budget);
    } else if (again(plan, &LayerKeep::mlp) > 0) {
      EXPECT_GT(bytes(plan, tokens) + tokens * each.mlp, budget);
    }
  }
  EXPECT_EQ(bytes(plan_keep(tiny_config(), at::kFloat, kRank, tokens, 0), tokens), everything);
  EXPECT_EQ(bytes(plan_keep(tiny_config(), at::kFloat, kRank, tokens, 1), tokens), least);
  const auto plan = plan_keep(tiny_config(), at::kFloat, kRank, tokens, everything - 1);
  EXPECT_EQ(plan[0].mlp, Keep::input) << "the first layer is the first to be computed again";
}

TEST(KeepPlan, PlainLayersAreComputedAgainAsAWhole) {
  const std::int64_t layers = tiny_config().layers;
  EXPECT_EQ(plan_plain_layers(tiny_config(), at::kFloat, 10, 0), 0);
  EXPECT_EQ(plan_plain_layers(tiny_config(), at::kFloat, 10, 1), layers);
  EXPECT_EQ(plan_plain_layers(tiny_config(), at::kFloat, 10, std::int64_t{1} << 40), 0);
  std::int64_t before = layers;
  for (std::int64_t budget = 1; budget < 100000; budget += 500) {
    const std::int64_t now = plan_plain_layers(tiny_config(), at::kFloat, 10, budget);
    EXPECT_LE(now, before);
    before = now;
  }
}

}  // namespace
}  // namespace shine::test
