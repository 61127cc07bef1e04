#include "adapter/reduce_rank.h"

#include "lora/small_spec.h"
#include "shine/common/error.h"
#include "support/faults.h"
#include "support/tensor_match.h"

namespace shine::test {
namespace {

/// Rank `rank` for every projection of small_spec, whose sizes are 2 to 5.
Adapter random_adapter(std::int64_t rank) {
  const LoraSpec spec = small_spec(/*biases=*/true);
  Adapter adapter;
  adapter.metadata.identity = "0123456789abcdef";
  adapter.tree.layers.resize(static_cast<std::size_t>(spec.layers));
  std::uint64_t seed = 0;
  for (LoraLayer& layer : adapter.tree.layers) {
    for (const Projection p : kProjections) {
      layer[p].a = random_tensor({1, spec[p].in, rank}, at::kFloat, ++seed);
      layer[p].b = random_tensor({1, rank, spec[p].out}, at::kFloat, ++seed);
      if (spec[p].has_bias) layer[p].c = random_tensor({1, spec[p].out}, at::kFloat, ++seed);
    }
  }
  return adapter;
}

at::Tensor delta_of(const LoraWeights& weights) {
  return weights.a[0].to(at::kDouble).mm(weights.b[0].to(at::kDouble));
}

/// By the singular values of A B itself.
TEST(ReduceRank, IsTheTruncatedSvdOfTheProduct) {
  for (const std::int64_t before : {3, 4, 9}) {  // 9: above every size
    const Adapter adapter = random_adapter(before);
    for (const std::int64_t rank : {std::int64_t{1}, std::int64_t{2}, before - 1}) {
      SCOPED_TRACE(str("rank ", before, " to ", rank));
      const ReducedAdapter reduced = reduce_rank(adapter, rank);
      double discarded = 0.0, all = 0.0;
      for (std::size_t layer = 0; layer < adapter.tree.layers.size(); ++layer) {
        for (const Projection p : kProjections) {
          const LoraWeights& after = reduced.adapter.tree.layers[layer][p];
          const auto [u, s, vh] = at::linalg_svd(delta_of(adapter.tree.layers[layer][p]), /*full_matrices=*/false);
          const std::int64_t kept = std::min(rank, s.size(0));
          const at::Tensor nearest = (u.narrow(1, 0, kept) * s.narrow(0, 0, kept)).mm(vh.narrow(0, 0, kept));
          EXPECT_TRUE(tensors_match(delta_of(after), nearest, 1e-6));
          EXPECT_EQ(after.a.size(2), rank);
          EXPECT_EQ(after.b.size(1), rank);
          EXPECT_EQ(after.a.scalar_type(), at::kFloat);
          const double left = s.narrow(0, kept, s.size(0) - kept).square().sum().item<double>();
          const double sum = s.square().sum().item<double>();
          EXPECT_NEAR(reduced.discarded[layer][static_cast<std::size_t>(p)], left / sum, 1e-9);
          discarded += left;
          all += sum;
        }
      }
      EXPECT_NEAR(reduced.discarded_of_all, discarded / all, 1e-9);
    }
  }
}

TEST(ReduceRank, KeepsWhatIsLowEnough) {
  const Adapter adapter = random_adapter(3);
  const ReducedAdapter same = reduce_rank(adapter, 3);
  EXPECT_TRUE(same.adapter.tree.layers[1][Projection::up].a.equal(adapter.tree.layers[1][Projection::up].a));
  EXPECT_EQ(same.adapter.metadata.identity, adapter.metadata.identity);
  EXPECT_EQ(same.discarded_of_all, 0.0);
  const ReducedAdapter lower = reduce_rank(adapter, 2);
  EXPECT_TRUE(lower.adapter.tree.layers[0][Projection::q].c.equal(adapter.tree.layers[0][Projection::q].c));
  EXPECT_EQ(lower.adapter.metadata.identity, reduced_identity(adapter.metadata.identity, 2));
  EXPECT_NE(lower.adapter.metadata.identity, adapter.metadata.identity);
  EXPECT_NE(lower.adapter.metadata.identity, reduced_identity(adapter.metadata.identity, 1));
  EXPECT_EQ(reduced_identity("", 2), "") << "an adapter of another tool";
}

TEST(ReduceRank, MapsThatAreNotAdaptedStayZero) {
  Adapter adapter = random_adapter(4);
  adapter.tree.layers[0][Projection::k].a.zero_();
  adapter.tree.layers[0][Projection::k].b.zero_();
  const ReducedAdapter reduced = reduce_rank(adapter, 2);
  EXPECT_EQ(delta_of(reduced.adapter.tree.layers[0][Projection::k]).abs().max().item<double>(), 0.0);
  EXPECT_EQ(reduced.discarded[0][static_cast<std::size_t>(Projection::k)], 0.0);
}

TEST(ReduceRank, SaysWhatItCost) {
  const std::string text = reduction_text(reduce_rank(random_adapter(4), 2));
  EXPECT_EQ(text.find("share of the squared singular values that is left out: 0."), 0U) << text;
  EXPECT_NE(text.find("\n  down  mean 0."), std::string::npos) << text;
  expect_fault<ConfigError>("a rank of 0", [] { reduce_rank(random_adapter(2), 0); });
}

}  // namespace
}  // namespace shine::test
