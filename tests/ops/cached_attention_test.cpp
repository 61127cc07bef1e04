#include "ops/cached_attention.h"

#include "ops/attention.h"
#include "shine/common/error.h"
#include "support/gradient_check.h"

namespace shine::test {
namespace {

constexpr std::int64_t kDim = 6;
constexpr double kScale = 0.3;

struct Case {
  std::vector<std::int64_t> added, past;
};

RowLayout layout_of(const std::vector<std::int64_t>& lengths) {
  RowLayout rows;
  for (const std::int64_t length : lengths) rows.push(length);
  return rows;
}

struct Tensors {
  at::Tensor q, keys, values;
};

Tensors random_tensors(const Case& tested, std::int64_t heads, std::int64_t kv_heads, at::ScalarType type) {
  const auto rows = static_cast<std::int64_t>(tested.past.size());
  const std::vector<std::int64_t> cache{rows, kv_heads, 20, kDim};
  return {random_tensor({layout_of(tested.added).tokens(), heads, kDim}, type, 1), random_tensor(cache, type, 2),
          random_tensor(cache, type, 3)};
}

at::Tensor attend(const Case& tested, const Tensors& in) {
  const CachedAttentionPlan plan(layout_of(tested.added), tested.past, in.q.size(1) / in.keys.size(1), in.q.options());
  return plan.attend(in.q, in.keys, in.values, {kScale});
}

/// CachedAttentionPlan::attend token by token and head by head.
at::Tensor cached_attention_reference(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                                      const RowLayout& added, const std::vector<std::int64_t>& past, double scale) {
  const std::int64_t group = q.size(1) / keys.size(1);
  at::Tensor out = at::zeros_like(q);
  for (std::int64_t row = 0; row < added.rows(); ++row) {
    for (std::int64_t t = 0; t < added.length(row); ++t) {
      const std::int64_t seen = past[static_cast<std::size_t>(row)] + t + 1;
      const std::int64_t token = added.starts[static_cast<std::size_t>(row)] + t;
      for (std::int64_t head = 0; head < q.size(1); ++head) {
        const at::Tensor k = keys[row][head / group].narrow(0, 0, seen), v = values[row][head / group];  // (seen, d)
        const at::Tensor weights = at::softmax(k.mv(q[token][head]) * scale, 0);                         // (seen)
        out[token][head].copy_(v.narrow(0, 0, seen).t().mv(weights));
      }
    }
  }
  return out;
}

const std::vector<Case> kCases{{{1}, {7}},                          // one row, one token
                               {{1, 1, 1}, {7, 7, 7}},              // equal lengths: no mask
                               {{1, 1, 1}, {7, 0, 19}},             // masked
                               {{1, 0, 1, 1, 0}, {7, 3, 4, 9, 0}},  // idle rows
                               {{4}, {0}},                          // a prompt
                               {{4, 1, 1, 3, 0, 1}, {5, 2, 6, 0, 9, 1}},
                               {{0, 0}, {3, 0}},
                               {{0}, {0}}};

TEST(CachedAttention, AgreesWithTheReference) {
  const std::vector<std::array<std::int64_t, 2>> heads{{1, 1}, {4, 2}, {6, 1}, {3, 3}};
  for (const Case& tested : kCases) {
    for (const auto& [all, kv] : heads) {
      for (const auto& [type, tolerance] : std::vector<std::pair<at::ScalarType, double>>{
               {at::kDouble, 1e-12}, {at::kFloat, 1e-5}, {at::kBFloat16, 6e-2}}) {
        const Tensors in = random_tensors(tested, all, kv, type);
        const at::Tensor expected =
            cached_attention_reference(in.q, in.keys, in.values, layout_of(tested.added), tested.past, kScale);
        EXPECT_TRUE(tensors_match(attend(tested, in), expected, tolerance))
            << "added " << join(tested.added, " ") << ", past " << join(tested.past, " ") << ", heads " << all << "/"
            << kv;
      }
    }
  }
}

TEST(CachedAttention, OfAPromptIsCausalAttention) {
  const Case tested{{5}, {0}};
  const Tensors in = random_tensors(tested, 4, 2, at::kDouble);
  const auto packed = [](const at::Tensor& cache) { return cache[0].narrow(1, 0, 5).transpose(0, 1); };
  const at::Tensor expected =
      causal_attention_reference(in.q, packed(in.keys), packed(in.values), layout_of({5}), {kScale});
  EXPECT_TRUE(tensors_match(attend(tested, in), expected, 1e-12));
}

TEST(CachedAttention, ReadsNoPlaceBehindARow) {
  const Case tested{{1, 2, 1}, {3, 4, 9}};
  const Tensors in = random_tensors(tested, 2, 1, at::kDouble);
  const at::Tensor before = attend(tested, in);
  for (const at::Tensor& cache : {in.keys, in.values}) {
    cache[0].narrow(1, 4, 16).fill_(50.0);
    cache[1].narrow(1, 6, 14).fill_(50.0);
    cache[2].narrow(1, 10, 10).fill_(50.0);
  }
  EXPECT_TRUE(tensors_match(attend(tested, in), before, 0.0));
  in.values[1].narrow(1, 5, 1).fill_(50.0);  // what the second of two new tokens sees, the first does not
  const at::Tensor after = attend(tested, in);
  EXPECT_TRUE(tensors_match(after[1], before[1], 0.0));
  EXPECT_FALSE(tensors_match(after[2], before[2], 1e-3));
}

TEST(CachedAttention, RefusesShapesThatDoNotFit) {
  const Case tested{{1, 2}, {3, 4}};
  const Tensors in = random_tensors(tested, 4, 2, at::kFloat);
  const auto with = [&](const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values) {
    return attend(tested, {q, keys, values});
  };
  EXPECT_NO_THROW(with(in.q, in.keys, in.values));
  EXPECT_THROW(with(in.q.narrow(0, 0, 2), in.keys, in.values), ShapeError);
  EXPECT_THROW(with(in.q, in.keys, in.values.narrow(2, 0, 8)), ShapeError);
  EXPECT_THROW(with(in.q, in.keys.narrow(2, 0, 5), in.values.narrow(2, 0, 5)), ShapeError);
  EXPECT_THROW(with(in.q, in.keys.narrow(0, 0, 1), in.values.narrow(0, 0, 1)), ShapeError);
  EXPECT_THROW(with(in.q.narrow(2, 0, 4), in.keys, in.values), ShapeError);
  EXPECT_THROW(CachedAttentionPlan(layout_of({1, 2}), {3}, 1, in.q.options()), ShapeError);
  EXPECT_THROW(CachedAttentionPlan(layout_of({1, 2}), {3, -1}, 1, in.q.options()), ShapeError);
}

}  // namespace
}  // namespace shine::test
