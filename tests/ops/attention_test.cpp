#include "ops/attention.h"

#include <limits>

#include "kernels/fused.h"
#include "shine/common/error.h"
#include "support/gradient_check.h"

namespace shine::test {
namespace {

constexpr std::int64_t kDim = 6;
constexpr AttentionOptions kScaled{.scale = 0.3};

RowLayout layout_of(const std::vector<std::int64_t>& lengths) {
  RowLayout rows;
  for (const std::int64_t length : lengths) rows.push(length);
  return rows;
}

std::vector<at::Tensor> qkv(const RowLayout& rows, std::int64_t heads, std::int64_t kv_heads, at::ScalarType type) {
  return {random_leaf({rows.tokens(), heads, kDim}, type, 1), random_leaf({rows.tokens(), kv_heads, kDim}, type, 2),
          random_leaf({rows.tokens(), kv_heads, kDim}, type, 3)};
}

TensorFunction form(const RowLayout& rows, AttentionLayout layout) {
  return [=](const std::vector<at::Tensor>& in) {
    return causal_attention(in[0], in[1], in[2], pack_rows(rows, layout, at::kCPU, in[0].scalar_type(), kDim), kScaled);
  };
}

TensorFunction reference(const RowLayout& rows) {
  return
      [=](const std::vector<at::Tensor>& in) { return causal_attention_reference(in[0], in[1], in[2], rows, kScaled); };
}

const std::vector<std::vector<std::int64_t>> kLengths{{7}, {1}, {3, 1, 5}, {0, 4, 0, 2}, {1, 1}, {2, 0}, {0, 0}, {0}};

TEST(CausalAttention, LayoutsAndReferenceAgree) {
  const std::vector<std::array<std::int64_t, 2>> heads{{1, 1}, {4, 2}, {6, 1}};
  for (const auto& lengths : kLengths) {
    const RowLayout rows = layout_of(lengths);
    for (const auto& [all, kv] : heads) {
      for (const auto layout : {AttentionLayout::per_row, AttentionLayout::padded}) {
        const auto where =
            str("rows ", join(lengths, " "), ", heads ", all, "/", kv, ", layout ", static_cast<int>(layout));
        EXPECT_TRUE(forms_agree(form(rows, layout), reference(rows), qkv(rows, all, kv, at::kDouble), 1e-11)) << where;
        EXPECT_TRUE(forms_agree(form(rows, layout), reference(rows), qkv(rows, all, kv, at::kFloat), 1e-5)) << where;
        // The scores and weights of the reference are rounded to bfloat16 (2^-9), the kernel's are not.
        EXPECT_TRUE(forms_agree(form(rows, layout), reference(rows), qkv(rows, all, kv, at::kBFloat16), 6e-2, 2e-2))
            << where;
      }
    }
  }
}

TEST(CausalAttention, OffIsTheReference) {
  const RowLayout rows = layout_of({3, 1, 4});
  const FusedOpsGuard off(FusedOps::off);
  EXPECT_TRUE(forms_agree(form(rows, AttentionLayout::per_row), reference(rows), qkv(rows, 4, 2, at::kFloat), 0.0));
}

TEST(Attention, FormsAgree) {
  const at::Tensor mask = at::full({3, 5}, -std::numeric_limits<double>::infinity(), at::kDouble).triu_(3);
  for (const auto& [type, tolerance] : {std::pair{at::kDouble, 1e-12}, {at::kFloat, 1e-5}}) {
    for (const at::Tensor& added : {at::Tensor(), mask.to(type)}) {
      const auto inputs = std::vector{random_leaf({2, 4, 3, kDim}, type, 1), random_leaf({2, 4, 5, kDim}, type, 2),
                                      random_leaf({2, 4, 5, kDim}, type, 3)};
      EXPECT_TRUE(forms_agree([&](const auto& in) { return attention(in[0], in[1], in[2], added, kScaled); },
                              [&](const auto& in) { return attention_reference(in[0], in[1], in[2], added, kScaled); },
                              inputs, tolerance))
          << type << (added.defined() ? ", masked" : "");
    }
  }
}

TEST(CausalAttention, GradientMatchesDifferences) {
  const RowLayout rows = layout_of({3, 1, 4});
  for (const auto layout : {AttentionLayout::per_row, AttentionLayout::padded}) {
    EXPECT_TRUE(gradients_match_differences(form(rows, layout), qkv(rows, 4, 2, at::kDouble)));
  }
}

TEST(Attention, AlignedMasksHaveTheSameValuesInRowsOfMultiplesOf16) {
  for (const std::int64_t width : {1, 15, 16, 17, 300}) {
    const at::Tensor mask = at::randn({3, 1, 2, width}), aligned = aligned_mask(mask);
    EXPECT_TRUE(aligned.equal(mask)) << width;
    EXPECT_EQ(aligned.stride(3), 1) << width;
    for (std::int64_t dimension = 0; dimension < 3; ++dimension) EXPECT_EQ(aligned.stride(dimension) % 16, 0) << width;
  }
}

TEST(CausalAttention, SeesItsOwnRowAndPastOnly) {
  const RowLayout rows = layout_of({4, 3});
  for (const auto layout : {AttentionLayout::per_row, AttentionLayout::padded}) {
    const auto in = qkv(rows, 2, 1, at::kDouble);
    const at::Tensor before = form(rows, layout)(in);
    const at::NoGradGuard no_grad;
    at::Tensor k = in[1].clone(), v = in[2].clone();
    k.narrow(0, 2, 2).add_(3.0);  // tokens 2 and 3 of the first row
    v.narrow(0, 2, 2).add_(3.0);
    const at::Tensor after = form(rows, layout)({in[0], k, v});
    EXPECT_TRUE(tensors_match(after.narrow(0, 0, 2), before.narrow(0, 0, 2), 1e-13));
    EXPECT_FALSE(tensors_match(after.narrow(0, 2, 2), before.narrow(0, 2, 2), 1e-1));
    EXPECT_TRUE(tensors_match(after.narrow(0, 4, 3), before.narrow(0, 4, 3), 1e-13));
  }
}

TEST(CausalAttention, GroupedHeadsReadTheirOwnKvHead) {
  const RowLayout rows = layout_of({3});
  const auto in = qkv(rows, 4, 2, at::kDouble);
  const at::Tensor all = form(rows, AttentionLayout::per_row)(in);
  for (std::int64_t head = 0; head < 4; ++head) {
    const at::Tensor alone =
        reference(rows)({in[0].narrow(1, head, 1), in[1].narrow(1, head / 2, 1), in[2].narrow(1, head / 2, 1)});
    EXPECT_TRUE(tensors_match(all.narrow(1, head, 1), alone, 1e-12)) << head;
  }
}

TEST(CausalAttention, RefusesShapesThatDoNotFit) {
  const RowLayout rows = layout_of({2, 3});
  const auto in = qkv(rows, 4, 2, at::kFloat);
  for (const auto layout : {AttentionLayout::per_row, AttentionLayout::padded}) {
    EXPECT_THROW(form(layout_of({2, 2}), layout)(in), ShapeError);
    EXPECT_THROW(form(rows, layout)({in[0].narrow(1, 0, 3), in[1], in[2]}), ShapeError);
    EXPECT_THROW(form(rows, layout)({in[0], in[1], in[2].narrow(1, 0, 1)}), ShapeError);
    EXPECT_THROW(form(rows, layout)({in[0], in[1].narrow(2, 0, 4), in[2]}), ShapeError);
  }
}

}  // namespace
}  // namespace shine::test
