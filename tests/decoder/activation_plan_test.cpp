#include "decoder/activation_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "decoder/tiny_model.h"
#include "kernels/cpu/attention_sublayer.h"
#include "kernels/cpu/mlp_sublayer.h"
#include "kernels/torch/attention_sublayer.h"
#include "kernels/torch/mlp_sublayer.h"
#include "shine/common/str.h"
#include "support/skip.h"
#include "support/tensor_bytes.h"

namespace shine::test {
namespace {

constexpr std::int64_t kRank = 3;

std::int64_t again(const std::vector<LayerActivations>& plan, SavedActivations LayerActivations::*part) {
  return std::ranges::count(plan, SavedActivations::input_only, part);
}

/// What a plan saves of one pass.
std::int64_t bytes(const std::vector<LayerActivations>& plan, std::int64_t tokens) {
  const ActivationBytes each =
      activation_bytes_of(SublayerBackend::cpu, tiny_config(), at::kFloat, kRank, RowPacking::single);
  std::int64_t sum = 0;
  for (const LayerActivations& layer : plan) {
    sum += each.inputs + (layer.attention == SavedActivations::all ? each.attention : 0) +
           (layer.mlp == SavedActivations::all ? each.mlp : 0);
  }
  return sum * tokens;
}

template <std::size_t n>
std::array<LoraWeights, n> zero_lora(const std::array<PreparedLinear, n>& linear, std::int64_t adapters = 1) {
  std::array<LoraWeights, n> lora;
  for (std::size_t p = 0; p < n; ++p) {
    lora[p] = {at::zeros({adapters, linear[p].in, kRank}), at::zeros({adapters, kRank, linear[p].out}), {}};
  }
  return lora;
}

std::int64_t size_of(const std::vector<at::Tensor>& tensors) {
  std::int64_t sum = 0;
  for (const at::Tensor& each : tensors) sum += static_cast<std::int64_t>(each.nbytes());
  return sum;
}

constexpr std::int64_t kTokens = 9;

MlpWeights zero_mlp(SublayerBackend backend, const DecoderConfig& config) {
  const LoraSpec spec = config.lora_spec();
  const auto linear = [&](Projection p) { return prepare_linear(backend, at::zeros({spec[p].out, spec[p].in}), {}); };
  MlpWeights mlp;
  mlp.norm = at::ones({config.hidden_size});
  mlp.linear = {linear(Projection::gate), linear(Projection::up), linear(Projection::down)};
  return mlp;
}

AttentionWeights zero_attention(SublayerBackend backend, const DecoderConfig& config) {
  const LoraSpec spec = config.lora_spec();
  const auto linear = [&](Projection p) { return prepare_linear(backend, at::zeros({spec[p].out, spec[p].in}), {}); };
  AttentionWeights attention;
  attention.norm = at::ones({config.hidden_size});
  if (config.qk_norm) attention.q_norm = attention.k_norm = at::ones({config.head_dim});
  attention.linear = {linear(Projection::q), linear(Projection::k), linear(Projection::v), linear(Projection::o)};
  attention.heads = config.heads;
  attention.kv_heads = config.kv_heads;
  attention.head_dim = config.head_dim;
  return attention;
}

std::shared_ptr<const SublayerBatch> one_row(SublayerBackend backend, const DecoderConfig& config) {
  RowLayout rows;
  rows.push(kTokens);
  return make_sublayer_batch(backend, rows,
                             {at::kFloat, at::kCPU, AttentionLayout::per_row, config.head_dim, config.rope_theta, 1});
}

TEST(ActivationPlan, CountsWhatTheCpuBackendSaves) {
  if (!cpu_backend_runs(at::kFloat, at::kCPU)) SHINE_SKIP("avx512", "no AVX-512");
  constexpr auto backend = SublayerBackend::cpu;
  const DecoderConfig config = tiny_config();
  const ActivationBytes each = activation_bytes_of(backend, config, at::kFloat, kRank, RowPacking::single);
  const at::Tensor x = at::zeros({kTokens, config.hidden_size});

  const MlpWeights mlp = zero_mlp(backend, config);
  const auto mlp_lora = zero_lora(mlp.linear);
  cpu::MlpSublayer<float>::Saved mlp_saved;
  const AttentionPass pass{one_row(backend, config), nullptr};
  cpu::MlpSublayer<float>(mlp, mlp_lora, at::kFloat, pass.adapters_out()).forward(x, mlp_saved);
  EXPECT_EQ(size_of({mlp_saved.inverse, mlp_saved.gate_up, mlp_saved.down_in, mlp_saved.down_out}), kTokens * each.mlp);

  const AttentionWeights attention = zero_attention(backend, config);
  const auto attention_lora = zero_lora(attention.linear);
  cpu::AttentionSublayer<float>::Saved saved;
  cpu::AttentionSublayer<float>(attention, attention_lora, at::kFloat, pass).forward(x, saved);
  EXPECT_EQ(size_of({saved.inverse, saved.q_raw, saved.k_raw, saved.v, saved.attention.out, saved.attention.log_sums,
                     saved.down_in, saved.down_out}),
            kTokens * each.attention);
}

/// What `run` leaves behind beside its result.
template <class F>
double saved_by(const F& run) {
  const TensorBytes bytes;
  const at::Tensor result = run();
  return static_cast<double>(bytes.held()) - static_cast<double>(result.nbytes());
}

/// The formula against what the sub-layers leave behind of `count` rows with an adapter each.
void expect_torch_backend_counted(const DecoderConfig& config, std::int64_t count, std::int64_t length, bool masked) {
  constexpr auto backend = SublayerBackend::torch;
  const std::int64_t tokens = count * length;
  RowLayout rows;
  for (std::int64_t row = 0; row < count; ++row) rows.push(length);
  const at::Tensor x = random_tensor({tokens, config.hidden_size}, 1);
  const MlpWeights mlp = zero_mlp(backend, config);
  const auto mlp_lora = zero_lora(mlp.linear, count);
  const AttentionWeights attention = zero_attention(backend, config);
  const auto attention_lora = zero_lora(attention.linear, count);
  for (const auto layout : {AttentionLayout::per_row, AttentionLayout::padded}) {
    const auto batch = make_sublayer_batch(
        backend, rows, {at::kFloat, at::kCPU, layout, config.head_dim, config.rope_theta, count, masked});
    const std::string what = str(count, " rows, qk_norm ", config.qk_norm, ", ", config.kv_heads, " kv heads, masked ",
                                 masked, ", padded ", layout == AttentionLayout::padded);
    const ActivationBytes each =
        activation_bytes_of(backend, config, at::kFloat, masked ? count * kRank : kRank, row_packing(batch->attention));
    const torch_kernels::MlpSublayer mlp_sublayer(mlp, mlp_lora, at::kFloat, batch->adapters);
    torch_kernels::MlpSublayer::Saved mlp_saved;
    EXPECT_EQ(saved_by([&] { return mlp_sublayer.forward(x, mlp_saved); }), tokens * each.mlp) << what;
    const AttentionPass pass{batch, nullptr};
    const torch_kernels::AttentionSublayer attention_sublayer(attention, attention_lora, at::kFloat, pass);
    torch_kernels::AttentionSublayer::Saved saved;
    const double share =
        saved_by([&] { return attention_sublayer.forward(x, saved); }) / static_cast<double>(tokens * each.attention);
    EXPECT_LE(share, 1.02) << what;
    // Of several rows, v is read in place if no heads are repeated and no rows padded.
    const bool v_in_place = count > 1 && config.kv_heads == config.heads && layout == AttentionLayout::per_row;
    EXPECT_GE(share, v_in_place ? 0.85 : 0.97) << what;
  }
}

TEST(ActivationPlan, CountsWhatTheTorchBackendSaves) {
  for (const bool qk_norm : {true, false}) {
    for (const std::int64_t kv_heads : {2, 4}) {
      DecoderConfig config = tiny_config();
      config.hidden_size = 64;
      config.intermediate_size = 96;
      config.heads = 4;
      config.kv_heads = kv_heads;
      config.head_dim = 32;
      config.qk_norm = qk_norm;
      for (const bool masked : {false, true}) expect_torch_backend_counted(config, /*count=*/4, /*length=*/50, masked);
      expect_torch_backend_counted(config, /*count=*/1, /*length=*/200, /*masked=*/false);
    }
  }
}

TEST(ActivationPlan, SavesWhatTheBudgetAllows) {
  constexpr std::int64_t tokens = 10;
  const std::int64_t layers = tiny_config().layers;
  const std::vector<LayerActivations> all(static_cast<std::size_t>(layers)),
      none(static_cast<std::size_t>(layers), {SavedActivations::input_only, SavedActivations::input_only});
  const std::int64_t everything = bytes(all, tokens), least = bytes(none, tokens);
  const ActivationBytes each =
      activation_bytes_of(SublayerBackend::cpu, tiny_config(), at::kFloat, kRank, RowPacking::single);
  for (std::int64_t budget = least; budget <= everything; budget += 100) {
    const auto plan = plan_activations(static_cast<std::size_t>(layers), each, tokens, budget);
    EXPECT_LE(bytes(plan, tokens), budget);
    EXPECT_EQ(planned_bytes(plan, each, tokens), bytes(plan, tokens));
    // One sub-layer more would be too much.
    if (again(plan, &LayerActivations::attention) > 0) {
      EXPECT_EQ(again(plan, &LayerActivations::mlp), layers);
      EXPECT_GT(bytes(plan, tokens) + tokens * each.attention, budget);
    } else if (again(plan, &LayerActivations::mlp) > 0) {
      EXPECT_GT(bytes(plan, tokens) + tokens * each.mlp, budget);
    }
  }
  EXPECT_EQ(bytes(plan_activations(static_cast<std::size_t>(layers), each, tokens, 0), tokens), everything);
  EXPECT_EQ(bytes(plan_activations(static_cast<std::size_t>(layers), each, tokens, 1), tokens), least);
  const auto plan = plan_activations(static_cast<std::size_t>(layers), each, tokens, everything - 1);
  EXPECT_EQ(plan[0].mlp, SavedActivations::input_only) << "the first layer is the first to be computed again";
}

TEST(ActivationPlan, ReadableLayersAreCheckpointedAsAWhole) {
  const std::int64_t layers = tiny_config().layers;
  EXPECT_EQ(layers_to_recompute(tiny_config(), at::kFloat, 10, 0), 0);
  EXPECT_EQ(layers_to_recompute(tiny_config(), at::kFloat, 10, 1), layers);
  EXPECT_EQ(layers_to_recompute(tiny_config(), at::kFloat, 10, std::int64_t{1} << 40), 0);
  std::int64_t before = layers;
  for (std::int64_t budget = 1; budget < 100000; budget += 500) {
    const std::int64_t now = layers_to_recompute(tiny_config(), at::kFloat, 10, budget);
    EXPECT_LE(now, before);
    before = now;
  }
}

}  // namespace
}  // namespace shine::test
