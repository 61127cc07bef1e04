#include "shine/tensor/token_rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "shine/common/error.h"

namespace shine {
namespace {

using Ids = std::vector<std::int64_t>;

Ids values(const at::Tensor& tensor) {
  EXPECT_EQ(tensor.scalar_type(), at::kLong);
  EXPECT_EQ(tensor.dim(), 1);
  const auto* data = tensor.const_data_ptr<std::int64_t>();
  return {data, data + tensor.numel()};
}

RowLayout layout_of(const Ids& lengths) {
  RowLayout rows;
  for (const std::int64_t length : lengths) rows.push(length);
  return rows;
}

TEST(RowLayout, CountsRowsAndTokens) {
  const RowLayout rows = layout_of({3, 0, 5});
  EXPECT_EQ(rows.starts, (Ids{0, 3, 3, 8}));
  EXPECT_EQ(rows.rows(), 3);
  EXPECT_EQ(rows.tokens(), 8);
  EXPECT_EQ(rows.length(1), 0);
  EXPECT_EQ(rows.length(2), 5);
  EXPECT_EQ(rows.longest(), 5);
  EXPECT_EQ(values(rows.positions(at::kCPU)), (Ids{0, 1, 2, 0, 1, 2, 3, 4}));
}

TEST(RowLayout, EmptyBatch) {
  const RowLayout rows;
  EXPECT_EQ(rows.rows(), 0);
  EXPECT_EQ(rows.tokens(), 0);
  EXPECT_EQ(rows.longest(), 0);
  EXPECT_EQ(values(rows.positions(at::kCPU)), Ids{});
}

TEST(RowLayout, AdaptersShareConsecutiveRows) {
  const RowLayout rows = layout_of({3, 0, 5, 2});
  EXPECT_EQ(rows.adapter_spans(1), (Ids{0, 10}));
  EXPECT_EQ(rows.adapter_spans(2), (Ids{0, 3, 10}));
  EXPECT_EQ(rows.adapter_spans(4), (Ids{0, 3, 3, 8, 10}));
  for (const std::int64_t wrong : {0, -1, 3, 8}) EXPECT_THROW(rows.adapter_spans(wrong), ShapeError) << wrong;
}

TEST(TokenRows, PacksRowsEndToEnd) {
  const TokenRows packed = TokenRows::pack({{7, 8, 9}, {}, {1}}, at::kCPU);
  EXPECT_EQ(values(packed.ids), (Ids{7, 8, 9, 1}));
  EXPECT_EQ(packed.layout.starts, (Ids{0, 3, 3, 4}));
  EXPECT_EQ(values(TokenRows::pack({}, at::kCPU).ids), Ids{});
}

TEST(TokenRows, DropsPaddingOfEitherSide) {
  const at::Tensor ids = at::tensor({0, 0, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0}, at::kLong).view({3, 4});
  const at::Tensor mask = at::tensor({0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0}, at::kLong).view({3, 4});
  for (const auto type : {at::kLong, at::kBool, at::kFloat}) {
    const TokenRows packed = TokenRows::from_padded(ids, mask.to(type));
    EXPECT_EQ(values(packed.ids), (Ids{5, 6, 7, 0}));  // a real token may have the padding's id
    EXPECT_EQ(packed.layout.starts, (Ids{0, 2, 4, 4}));
  }
}

TEST(TokenRows, RefusesAMaskOfAnotherShape) {
  const at::Tensor ids = at::zeros({2, 3}, at::kLong);
  EXPECT_THROW(TokenRows::from_padded(ids, at::ones({2, 4}, at::kLong)), ShapeError);
  EXPECT_THROW(TokenRows::from_padded(ids[0], at::ones({3}, at::kLong)), ShapeError);
}

TEST(TokenRows, ConcatenatedRowsAreThoseOfOneBatch) {
  const TokenRows all =
      TokenRows::concatenate({TokenRows::pack({{5, 6}, {}}, at::kCPU), TokenRows::pack({}, at::kCPU),
                              TokenRows::pack({{}}, at::kCPU), TokenRows::pack({{3}, {4, 9}}, at::kCPU)});
  const TokenRows expected = TokenRows::pack({{5, 6}, {}, {}, {3}, {4, 9}}, at::kCPU);
  EXPECT_EQ(values(all.ids), values(expected.ids));
  EXPECT_EQ(all.layout.starts, expected.layout.starts);
  EXPECT_EQ(all.lowest, 3);
  EXPECT_EQ(all.highest, 9);
  const TokenRows none = TokenRows::concatenate({TokenRows{}, TokenRows{}});
  EXPECT_EQ(none.layout.rows(), 0);
  EXPECT_FALSE(none.ids.defined());
}

TEST(TokenRows, ConcatenatedRowsHaveNoKnownRangeWhereAPartHasNone) {
  const TokenRows known = TokenRows::pack({{5, 6}}, at::kCPU);
  const at::Tensor ids = at::tensor({7L, 8L}).view({1, 2}), mask = at::tensor({1L, 0L}).view({1, 2});
  const TokenRows unknown = TokenRows::from_padded(ids, mask);
  for (const auto& parts :
       {std::vector{known, unknown}, std::vector{unknown, known}, std::vector{known, unknown, known}}) {
    const TokenRows all = TokenRows::concatenate(parts);
    EXPECT_LT(all.highest, all.lowest);
    EXPECT_EQ(all.layout.rows(), static_cast<std::int64_t>(parts.size()));
  }
}

TEST(LabelledTokens, PredictTheTokenAfterEachPosition) {
  const LabelledTokens labelled =
      LabelledTokens::of({{-100, 11, -100, 12}, {}, {21, -100}, {31, 32}, {-100}, {-100, 0}}, at::kCPU);
  // Nothing predicts a row's first label, not even the row before.
  EXPECT_EQ(values(labelled.positions), (Ids{0, 2, 6, 9}));
  EXPECT_EQ(values(labelled.targets), (Ids{11, 12, 32, 0}));
  EXPECT_EQ(labelled.count(), 4);
}

TEST(LabelledTokens, TokensOutsideTheSoftmaxAreNoLabels) {
  const LabelledTokens labelled = LabelledTokens::of({{-100, 4, 9, 5}}, at::kCPU, /*softmax_size=*/9);
  EXPECT_EQ(labelled.count(), 2);
  EXPECT_TRUE(labelled.positions.equal(at::tensor({0L, 2L})));
  EXPECT_TRUE(labelled.targets.equal(at::tensor({4L, 5L})));
}

TEST(LabelledTokens, ConcatenatedAreThoseOfAllRows) {
  const auto of = [](const std::vector<Ids>& labels) { return LabelledTokens::of(labels, at::kCPU); };
  const LabelledTokens all =
      LabelledTokens::concatenate({of({{-100, 11}, {1, 2, -100}}), of({{-100}}), {}, of({{5, 31, 32}})}, {5, 1, 0, 3});
  const LabelledTokens expected = of({{-100, 11}, {1, 2, -100}, {-100}, {5, 31, 32}});
  EXPECT_EQ(values(all.positions), values(expected.positions));
  EXPECT_EQ(values(all.targets), values(expected.targets));
  EXPECT_EQ(LabelledTokens::concatenate({{}, {}}, {0, 0}).count(), 0);
}

TEST(LabelledTokens, MayBeNone) {
  EXPECT_EQ(LabelledTokens{}.count(), 0);
  const LabelledTokens none = LabelledTokens::of({{-100, -100}, {5}}, at::kCPU);
  EXPECT_EQ(none.count(), 0);
  EXPECT_EQ(values(none.positions), Ids{});
}

}  // namespace
}  // namespace shine
