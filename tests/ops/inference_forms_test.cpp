#include <c10/core/InferenceMode.h>

#include "ops/attention.h"
#include "ops/lora_linear.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"
#include "support/gradient_check.h"

namespace shine::test {
namespace {

/// In inference mode the operations have faster forms: each must give the reference's values.
class InferenceForms : public testing::TestWithParam<at::ScalarType> {
 protected:
  at::ScalarType type() const { return GetParam(); }
  double tolerance() const { return type() == at::kDouble ? 1e-12 : type() == at::kFloat ? 2e-6 : 6e-2; }
  c10::InferenceMode inference_;
};
INSTANTIATE_TEST_SUITE_P(Types, InferenceForms, testing::Values(at::kFloat, at::kDouble, at::kBFloat16),
                         [](const auto& tested) { return std::string(c10::toString(tested.param)); });

TEST_P(InferenceForms, RmsNorm) {
  for (const std::int64_t width : {1, 7, 16, 33, 96}) {
    const at::Tensor weight = random_tensor({width}, type(), 2);
    for (const std::int64_t rows : {0, 1, 5}) {
      const at::Tensor x = random_tensor({rows, 3, width}, type(), 1);
      EXPECT_TRUE(tensors_match(rms_norm(x, weight, 1e-5), rms_norm_reference(x, weight, 1e-5), tolerance())) << width;
    }
    const at::Tensor rotated = random_tensor({width, 4}, type(), 1).t();
    EXPECT_TRUE(tensors_match(rms_norm(rotated, weight, 1e-5), rms_norm_reference(rotated, weight, 1e-5), tolerance()));
  }
  const at::Tensor many = random_tensor({3000, 40}, type(), 1), weight = random_tensor({40}, type(), 2);
  EXPECT_TRUE(tensors_match(rms_norm(many, weight, 1e-5), rms_norm_reference(many, weight, 1e-5), tolerance()));
}

TEST_P(InferenceForms, Rope) {
  for (const std::int64_t d : {2, 6, 32}) {
    for (const std::int64_t tokens : {0, 1, 5}) {
      const at::Tensor x = random_tensor({tokens, 3, d}, type(), 1);
      const at::Tensor positions = at::arange(tokens, at::TensorOptions().dtype(at::kLong)) * 7;
      const RopeTable table = make_rope_table(positions, d, 10000.0, type());
      EXPECT_TRUE(tensors_match(apply_rope(x, table), apply_rope_reference(x, table), tolerance())) << d;
      const at::Tensor rotated = x.transpose(0, 1).contiguous().transpose(0, 1);
      EXPECT_TRUE(tensors_match(apply_rope(rotated, table), apply_rope_reference(rotated, table), tolerance())) << d;
    }
  }
}

TEST_P(InferenceForms, CausalAttention) {
  for (const std::int64_t d : {5, 16}) {
    for (const auto& lengths : std::vector<std::vector<std::int64_t>>{{70}, {1, 0, 130}}) {
      RowLayout rows;
      for (const std::int64_t length : lengths) rows.push(length);
      const at::Tensor q = random_tensor({rows.tokens(), 4, d}, type(), 1);
      const at::Tensor k = random_tensor({rows.tokens(), 2, d}, type(), 2), v = random_tensor(k.sizes(), type(), 3);
      const at::Tensor expected = causal_attention_reference(q, k, v, rows, {0.3});
      const at::Tensor rotated = q.transpose(0, 1).contiguous().transpose(0, 1);
      for (const auto layout : {AttentionLayout::per_row, AttentionLayout::padded}) {
        const PackedRows packed = pack_rows(rows, layout, at::kCPU, type(), d);
        EXPECT_TRUE(tensors_match(causal_attention(q, k, v, packed, {0.3}), expected, tolerance())) << d;
        EXPECT_TRUE(tensors_match(causal_attention(rotated, k, v, packed, {0.3}), expected, tolerance())) << d;
      }
    }
  }
}

TEST_P(InferenceForms, SwiGlu) {
  const at::Tensor gate = random_tensor({4, 9}, type(), 1), up = random_tensor({4, 9}, type(), 2);
  const at::Tensor before = gate.clone();
  EXPECT_TRUE(tensors_match(swiglu(gate, up), swiglu_reference(gate, up), tolerance()));
  EXPECT_TRUE(tensors_match(gate, before, 0.0));
}

TEST_P(InferenceForms, LoraLinear) {
  const std::vector<std::vector<std::int64_t>> all_spans{
      {0, 1}, {0, 0}, {0, 1, 2, 3, 4}, {0, 1, 1, 2, 3, 3}, {0, 2, 4, 7, 8, 9, 12}, {0, 3, 3}, {0, 0, 0, 1}};
  for (const auto& spans : all_spans) {
    const auto adapters = static_cast<std::int64_t>(spans.size()) - 1;
    for (const bool biased : {false, true}) {
      LoraLinearInput in;
      in.x = random_tensor({spans.back(), 8}, type(), 1);
      in.weight = random_tensor({6, 8}, type(), 2);
      in.a = random_tensor({adapters, 8, 3}, at::kFloat, 3) * 0.3;
      in.b = random_tensor({adapters, 3, 6}, at::kFloat, 4) * 0.3;
      if (biased) in.bias = random_tensor({6}, type(), 5);
      if (biased) in.c = random_tensor({adapters, 6}, at::kFloat, 6);
      in.spans = spans;
      EXPECT_TRUE(tensors_match(lora_linear(in), lora_linear_reference(in), 3 * tolerance())) << join(spans, " ");
    }
  }
}

}  // namespace
}  // namespace shine::test
