// The decoder's layers on the GPU: the fused form against the readable one, values and gradients.
#include "decoder/tiny_model.h"
#include "gpu/gpu_test.h"
#include "ops/attention.h"

namespace shine::test {
namespace {

/// What a pass over four rows gives, on the CPU.
struct Pass {
  at::Tensor values;
  std::vector<at::Tensor> gradients;
};

class GpuSublayers : public GpuTest, public testing::WithParamInterface<at::ScalarType> {
 protected:
  at::ScalarType type() const { return GetParam(); }
  /// Rounding in bfloat16 grows from layer to layer.
  double tolerance() const { return type() == at::kFloat ? 1e-4 : 8e-2; }

  Pass run(const DecoderConfig& config, const DecoderOptions& options, std::int64_t adapters, bool chosen) const {
    const auto decoder = tiny_decoder(config, options);
    LoraTree tree = random_tree(config.lora_spec(), std::max<std::int64_t>(adapters, 1), 7);
    std::vector<at::Tensor> leaves;
    for_each_tensor(tree, [&](const std::string&, at::Tensor& tensor) {
      tensor = tensor.to(options.device).requires_grad_(true);
      leaves.push_back(tensor);
    });
    const TokenRows rows = TokenRows::pack(random_rows({7, 1, 12, 4}, 1), options.device);
    const at::Tensor positions = index_tensor({0, 3, 8, 9, 10, 21, 23}, options.device);
    const LoraTree* lora = adapters == 0 ? nullptr : &tree;
    const at::Tensor hidden = chosen ? decoder->forward(rows, lora, positions) : decoder->forward(rows, lora);
    Pass pass{hidden.detach().to(at::kCPU), {}};
    if (lora == nullptr) return pass;
    hidden.to(at::kFloat).square().sum().backward();
    for (const at::Tensor& each : leaves) pass.gradients.push_back(each.grad().to(at::kCPU));
    return pass;
  }

  void expect_same(const Pass& found, const Pass& expected, const std::string& what) {
    note_difference(found.values, expected.values);
    EXPECT_LT(relative_error(found.values, expected.values), tolerance()) << what;
    for (std::size_t i = 0; i < found.gradients.size(); ++i) {
      note_difference(found.gradients[i], expected.gradients[i]);
      EXPECT_LT(relative_error(found.gradients[i], expected.gradients[i]), tolerance()) << what << ", tensor " << i;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Types, GpuSublayers, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& tested) { return std::string(c10::toString(tested.param)); });

TEST_P(GpuSublayers, EqualTheReadableLayers) {
  const DecoderOptions gpu_options{type(), gpu(), AttentionLayout::padded};
  for (const DecoderConfig& config : {tiny_config(), tiny_biased_config()}) {
    for (const std::int64_t adapters : {0, 1, 2, 4}) {
      for (const bool chosen : {false, true}) {
        Pass expected;
        {
          const FusedOpsGuard readable(FusedOps::off);
          expected = run(config, gpu_options, adapters, chosen);
        }
        const std::string what = str(adapters, " adapters", chosen ? ", some tokens" : "");
        expect_same(run(config, gpu_options, adapters, chosen), expected, what);
        DecoderOptions again = gpu_options;
        again.recompute = true;
        expect_same(run(config, again, adapters, chosen), expected, what + ", computed again");
        const FusedOpsGuard checked(FusedOps::automatic);
        expect_same(run(config, gpu_options, adapters, chosen), expected, what + ", by checked kernels alone");
      }
    }
  }
}

TEST_P(GpuSublayers, EqualTheLayersOnACpu) {
  const DecoderConfig config = tiny_config();
  expect_same(run(config, {type(), gpu(), AttentionLayout::padded}, 2, true), run(config, {.dtype = type()}, 2, true),
              "on a CPU");
}

using GpuPackedAttention = GpuTest;

/// Rows of any lengths, an empty one too, in the varlen kernel.
TEST_F(GpuPackedAttention, EqualsTheReference) {
  RowLayout rows;
  for (const std::int64_t length : {5, 1, 0, 130, 64}) rows.push(length);
  for (const std::int64_t d : {16, 64, 128}) {
    const auto random = [&](std::int64_t heads, std::uint64_t seed) {
      return random_leaf({rows.tokens(), heads, d}, at::kBFloat16, seed);
    };
    const PackedRows packed = pack_rows(rows, AttentionLayout::padded, gpu(), at::kBFloat16, d);
    ASSERT_TRUE(packed.cu_seqlens.defined());
    EXPECT_TRUE(agree_on_gpu(
        [&](const std::vector<at::Tensor>& in) { return causal_attention(in[0], in[1], in[2], packed, {0.2}); },
        [&](const std::vector<at::Tensor>& in) { return causal_attention_reference(in[0], in[1], in[2], rows, {0.2}); },
        {random(4, 1), random(2, 2), random(2, 3)}, 4e-2))
        << d;
  }
}

}  // namespace
}  // namespace shine::test
