// The fused layers by each backend against the readable ones.
#include <gtest/gtest.h>

#include "decoder/tiny_model.h"
#include "kernels/fused.h"
#include "ops/decoder_sublayers.h"
#include "support/skip.h"

namespace shine::test {
namespace {

constexpr double kRounding = 2e-5;

using Tested = std::tuple<bool, SublayerBackend>;

class DecoderBackends : public testing::TestWithParam<Tested> {
 protected:
  void SetUp() override {
    if (backend() == SublayerBackend::cpu && !cpu_backend_runs(at::kFloat, at::kCPU))
      SHINE_SKIP("avx512", "no AVX-512");
  }
  SublayerBackend backend() const { return std::get<1>(GetParam()); }
  DecoderConfig config() const { return std::get<0>(GetParam()) ? tiny_biased_config() : tiny_config(); }
  /// Rows are padded for attention, as on a GPU, with the torch backend.
  std::unique_ptr<Decoder> decoder(DecoderOptions options = {}) const {
    options.backend = backend();
    if (backend() == SublayerBackend::torch) options.attention = AttentionLayout::padded;
    return tiny_decoder(config(), options);
  }
};
INSTANTIATE_TEST_SUITE_P(Families, DecoderBackends,
                         testing::Combine(testing::Bool(),
                                          testing::Values(SublayerBackend::cpu, SublayerBackend::torch)),
                         [](const auto& tested) {
                           const bool cpu = std::get<1>(tested.param) == SublayerBackend::cpu;
                           return std::string(std::get<0>(tested.param) ? "LlamaWithBiases" : "Qwen3") +
                                  (cpu ? "Cpu" : "Torch");
                         });

/// Values at `positions` (all tokens where undefined) and the gradients of two adapters.
struct Pass {
  at::Tensor values;
  std::vector<at::Tensor> gradients;
};

Pass run(const Decoder& decoder, const at::Tensor& positions = {}) {
  LoraTree tree = random_tree(decoder.config().lora_spec(), 2, 7);
  std::vector<at::Tensor> leaves;
  for_each_tensor(tree, [&](const std::string&, at::Tensor& tensor) { leaves.push_back(tensor.requires_grad_(true)); });
  const TokenRows rows = TokenRows::pack(random_rows({7, 1, 12, 4}, 1), at::kCPU);
  Pass pass;
  const at::Tensor hidden =
      positions.defined() ? decoder.forward(rows, &tree, positions) : decoder.forward(rows, &tree);
  hidden.square().sum().backward();
  pass.values = hidden.detach();
  for (const at::Tensor& each : leaves) pass.gradients.push_back(each.grad());
  return pass;
}

void expect_same(const Pass& found, const Pass& expected) {
  EXPECT_LT(relative_error(found.values, expected.values), kRounding);
  ASSERT_EQ(found.gradients.size(), expected.gradients.size());
  for (std::size_t i = 0; i < found.gradients.size(); ++i) {
    const double difference = (found.gradients[i] - expected.gradients[i]).abs().max().item<double>();
    EXPECT_LT(difference, kRounding * (1.0 + expected.gradients[i].abs().max().item<double>())) << i;
    EXPECT_LT(relative_error(found.gradients[i], expected.gradients[i]), kRounding) << i;
  }
}

TEST_P(DecoderBackends, EqualsTheReadableLayers) {
  const auto decoder = this->decoder();
  const Pass fast = run(*decoder);
  const FusedOpsGuard readable(FusedOps::off);
  expect_same(fast, run(*decoder));
}

TEST_P(DecoderBackends, ChosenTokensAreThoseOfAllTokens) {
  const auto decoder = this->decoder();
  const at::Tensor positions = at::tensor({0, 3, 8, 9, 10, 21, 23}, at::kLong);
  const Pass fast = run(*decoder, positions);
  EXPECT_LT(relative_error(fast.values, run(*decoder).values.index_select(0, positions)), kRounding);
  const FusedOpsGuard readable(FusedOps::off);
  expect_same(fast, run(*decoder, positions));
}

TEST_P(DecoderBackends, ABudgetChangesNothingButWhatIsKept) {
  const Pass whole = run(*decoder());
  for (const std::int64_t bytes : {1, 12000, 20000}) {
    expect_same(run(*decoder({.activation_bytes = bytes})), whole);
    const FusedOpsGuard readable(FusedOps::off);
    expect_same(run(*decoder({.activation_bytes = bytes})), whole);
  }
  expect_same(run(*decoder({.recompute = true})), whole);
}

TEST_P(DecoderBackends, WeightsThatChangeArePreparedAnew) {
  const auto decoder = this->decoder();
  decoder->prepare();
  const Pass before = run(*decoder);
  for (const auto& [name, weight] : named_tensors(*decoder)) {
    if (name == "model.layers.1.mlp.up_proj.weight") weight.mul_(1.5);
    if (name == "model.layers.0.self_attn.k_proj.weight") set_values(weight, weight.flip(0).contiguous());
  }
  const Pass after = run(*decoder);
  EXPECT_GT(relative_error(after.values, before.values), 1e-3);
  const FusedOpsGuard readable(FusedOps::off);
  expect_same(after, run(*decoder));
}

}  // namespace
}  // namespace shine::test
