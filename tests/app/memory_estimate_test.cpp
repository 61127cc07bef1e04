#include "app/build/memory_estimate.h"

#include <gtest/gtest.h>

#include "decoder/tiny_model.h"
#include "kernels/fused.h"
#include "ops/decoder_sublayers.h"
#include "shine/config/enum_names.h"
#include "support/paths.h"
#include "support/tensor_bytes.h"
#include "support/skip.h"

namespace shine::test {
namespace {

constexpr double kGiB = 1 << 30;
constexpr std::int64_t kFrozen8b = 8190735360, kTrained8b = 887586816;

DecoderConfig qwen3_8b() {
  DecoderConfig model;
  model.model_type = "qwen3";
  model.vocab_size = 151936;
  model.hidden_size = 4096;
  model.intermediate_size = 12288;
  model.layers = 36;
  model.heads = 32;
  model.kv_heads = 8;
  model.head_dim = 128;
  model.qk_norm = true;
  return model;
}

MemoryEstimate of_8b(const std::vector<std::string>& overrides) {
  std::vector<std::string> all{"model.dtype=bfloat16"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return estimate_memory(load_experiment_config(source_dir() / "configs/qwen3-8b/pretrain.yaml", all), qwen3_8b(),
                         kFrozen8b, kTrained8b, at::kCUDA);
}

double on_device(const MemoryEstimate& estimate) {
  return estimate.frozen + estimate.copies + estimate.trained + estimate.activations;
}

TEST(MemoryEstimate, IsNearWhatAGpuAllocatedForQwen3_8b) {
  // The allocator's peaks of steps at the maximum lengths on an H200.
  for (const std::string fused : {"auto", "on"}) {
    const double one = on_device(of_8b({"ops.fused=" + fused})) / kGiB,
                 four = on_device(of_8b({"optimizer.batch_size=4", "ops.fused=" + fused})) / kGiB;
    std::printf("ops.fused %s: %.1f GiB and %.1f GiB\n", fused.c_str(), one, four);
    EXPECT_NEAR(one, 42.3, 4.2) << fused;
    EXPECT_NEAR(four, 76.5, 7.6) << fused;
  }
}

TEST(MemoryEstimate, FollowsWhatTheKeysChange) {
  const MemoryEstimate whole = of_8b({});
  EXPECT_EQ(whole.copies, 0.0);
  EXPECT_EQ(whole.frozen, 2.0 * kFrozen8b);
  EXPECT_EQ(whole.trained, 16.0 * kTrained8b);
  EXPECT_EQ(whole.snapshot, 12.0 * kTrained8b);
  EXPECT_EQ(of_8b({"checkpoint.background=false"}).snapshot, 0.0);
  EXPECT_LT(of_8b({"model.recompute=true"}).activations, 0.3 * whole.activations);
  const double limited = of_8b({"model.activation_memory=4096"}).activations;
  EXPECT_LT(limited, whole.activations - 4 * kGiB);
  EXPECT_GT(limited, 4 * kGiB);
  EXPECT_GT(of_8b({"optimizer.pass_tokens=9164"}).activations, 3.5 * whole.activations)
      << "four samples of 2291 tokens";
  EXPECT_LT(of_8b({"hypernetwork.m2p.kind=linear"}).activations, whole.activations);
}

DecoderConfig small_config() {
  DecoderConfig model = tiny_config();
  model.vocab_size = 300;
  model.hidden_size = 96;
  model.intermediate_size = 256;
  model.layers = 4;
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 32;
  return model;
}

ExperimentConfig small_experiment(WeightDtype dtype, std::int64_t batch, bool recompute) {
  ExperimentConfig config;
  config.model.dtype = dtype;
  config.model.recompute = recompute;
  config.text.context_max_length = 120;
  config.text.conversation_max_length = 150;
  config.optimizer.batch_size = batch;
  config.hypernetwork = tiny_options().config;
  config.hypernetwork.m2p.heads = 3;
  config.hypernetwork.m2p.feedforward = 192;
  return config;
}

/// The peak of a forward and backward at the maximum lengths.
/// @param backend  torch: all other operations by LibTorch too, as on a GPU
double peak_of_pass(const ExperimentConfig& config, SublayerBackend backend) {
  DecoderOptions options;
  options.dtype = config.model.dtype == WeightDtype::bfloat16 ? at::kBFloat16 : at::kFloat;
  options.backend = backend;
  options.recompute = config.model.recompute;
  const auto decoder = tiny_decoder(small_config(), options);
  decoder->prepare();
  HypernetworkOptions network;
  network.config = config.hypernetwork;
  network.recompute = config.model.recompute;
  const auto hypernetwork = tiny_hypernetwork(*decoder, network);
  for (const TrainedParameter& named : hypernetwork->trained()) {
    at::Tensor(named.tensor).mutable_grad() = at::zeros_like(named.tensor);
  }
  const auto rows = [&](std::int64_t length) {
    const std::vector<std::size_t> lengths(static_cast<std::size_t>(config.optimizer.batch_size),
                                           static_cast<std::size_t>(length));
    return random_rows(lengths, 3);
  };
  const auto conversations = rows(config.text.conversation_max_length);
  const TokenRows contexts = TokenRows::pack(rows(config.text.context_max_length), at::kCPU),
                  answers = TokenRows::pack(conversations, at::kCPU);
  const LabelledTokens labelled = LabelledTokens::of(conversations, at::kCPU);
  const TensorBytes bytes;
  const FusedOps mode = backend == SublayerBackend::cpu ? FusedOps::automatic : FusedOps::off;
  const auto otherwise = [&](const auto& run) {
    const FusedOpsGuard guard(mode);
    return run();
  };
  GeneratedLora lora;
  lora.memory_states = hypernetwork->extract_memory(contexts);
  lora.vector = otherwise([&] { return hypernetwork->generate_vector(lora.memory_states); });
  lora.tree = hypernetwork->slice(lora.vector);
  const at::Tensor hidden = decoder->forward(answers, &lora.tree, labelled.positions);
  const at::Tensor loss = otherwise([&] { return decoder->losses(hidden, labelled.targets).sum(); });
  loss.backward();
  return static_cast<double>(bytes.peak());
}

/// The estimate's distance from what a pass of the same sizes held, as a share.
double error_of_pass(WeightDtype dtype, std::int64_t batch, bool recompute, SublayerBackend backend) {
  const ExperimentConfig config = small_experiment(dtype, batch, recompute);
  const at::DeviceType device = backend == SublayerBackend::cpu ? at::kCPU : at::kCUDA;
  const double found = estimate_memory(config, small_config(), 0, 0, device).activations;
  const double held = peak_of_pass(config, backend);
  std::printf("%s, batch %d, recompute %d: estimated %.2f MB, held %.2f MB\n", enum_name(dtype).data(),
              static_cast<int>(batch), recompute, found / 1e6, held / 1e6);
  return std::abs(found / held - 1.0);
}

class PassMemory : public testing::TestWithParam<WeightDtype> {};
INSTANTIATE_TEST_SUITE_P(Types, PassMemory, testing::Values(WeightDtype::float32, WeightDtype::bfloat16));

TEST_P(PassMemory, IsEstimatedForOperations) {
  for (const std::int64_t batch : {1, 3}) {
    EXPECT_LT(error_of_pass(GetParam(), batch, /*recompute=*/false, SublayerBackend::torch), 0.1);
    EXPECT_LT(error_of_pass(GetParam(), batch, /*recompute=*/true, SublayerBackend::torch), 0.2);
  }
}

TEST_P(PassMemory, IsEstimatedForBlocks) {
  const at::ScalarType type = GetParam() == WeightDtype::bfloat16 ? at::kBFloat16 : at::kFloat;
  if (!cpu_backend_runs(type, at::kCPU)) SHINE_SKIP("avx512", "no AVX-512");
  for (const std::int64_t batch : {1, 3}) {
    EXPECT_LT(error_of_pass(GetParam(), batch, /*recompute=*/false, SublayerBackend::cpu), 0.2);
    EXPECT_LT(error_of_pass(GetParam(), batch, /*recompute=*/true, SublayerBackend::cpu), 0.3);
  }
}

}  // namespace
}  // namespace shine::test
