#include "lora/lora_statistics.h"

#include <cmath>

#include "lora/small_spec.h"
#include "shine/common/error.h"
#include "support/tensor_match.h"

namespace shine::test {
namespace {

LoraWeights random_weights(std::int64_t adapters, std::int64_t in, std::int64_t rank, std::int64_t out,
                           std::uint64_t seed) {
  return {random_tensor({adapters, in, rank}, at::kDouble, seed),
          random_tensor({adapters, rank, out}, at::kDouble, seed + 1),
          {}};
}

/// From the changes themselves.
at::Tensor inner_products_of_deltas(const LoraWeights& weights) {
  const at::Tensor deltas = weights.a.to(at::kDouble).matmul(weights.b.to(at::kDouble)).flatten(1);  // (B_l, in * out)
  return deltas.mm(deltas.t());
}

LoraTree random_tree(std::int64_t adapters, std::int64_t rank, std::uint64_t seed) {
  const LoraSpec spec = small_spec(/*biases=*/false);
  LoraTree tree;
  tree.layers.resize(static_cast<std::size_t>(spec.layers));
  for (LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections)
      layer[p] = random_weights(adapters, spec[p].in, rank, spec[p].out, ++ ++seed);
  }
  return tree;
}

/// All changes A B of each adapter in one row, (B, ..).
at::Tensor flat_deltas(const LoraTree& tree) {
  std::vector<at::Tensor> parts;
  for (const LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections) parts.push_back(layer[p].a.matmul(layer[p].b).flatten(1));
  }
  return at::cat(parts, 1);
}

/// Cosine over pairs and share of the mean, as they are defined.
Agreement agreement_by_definition(const at::Tensor& rows) {
  double cosines = 0.0;
  int pairs = 0;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    for (std::int64_t j = 0; j < i; ++j, ++pairs) {
      cosines += (rows[i].dot(rows[j]) / (rows[i].norm() * rows[j].norm())).item<double>();
    }
  }
  return {cosines / pairs, (rows.mean(0).square().sum() / rows.square().sum(1).mean()).item<double>()};
}

at::Tensor ones_for(const LoraTree& tree) {
  return at::ones({static_cast<std::int64_t>(tree.layers.size()), 7}, at::kDouble);
}

TEST(DeltaInnerProducts, EqualThoseOfTheChangesThemselves) {
  for (const std::int64_t rank : {1, 3, 9}) {  // 9: above both sizes
    const LoraWeights weights = random_weights(4, 6, rank, 5, 1);
    EXPECT_TRUE(tensors_match(delta_inner_products(weights), inner_products_of_deltas(weights), 1e-12)) << rank;
  }
}

TEST(DeltaInnerProducts, AreComputedInFloat64) {
  LoraWeights weights = random_weights(3, 40, 8, 30, 1);
  weights.a = weights.a.to(at::kFloat);
  weights.b = weights.b.to(at::kBFloat16);
  const at::Tensor products = delta_inner_products(weights);
  EXPECT_EQ(products.scalar_type(), at::kDouble);
  EXPECT_TRUE(tensors_match(products, inner_products_of_deltas(weights), 1e-12));
}

TEST(DeltaSingularValues, EqualThoseOfTheChangesThemselves) {
  for (const std::int64_t rank : {1, 3, 9}) {
    const LoraWeights weights = random_weights(4, 6, rank, 5, 1);
    const at::Tensor values = delta_singular_values(weights);
    const at::Tensor all = at::linalg_svdvals(weights.a.matmul(weights.b));  // (4, 5)
    EXPECT_TRUE(tensors_match(values, all.narrow(1, 0, std::min<std::int64_t>(rank, 5)), 1e-12)) << rank;
  }
}

TEST(DeltaSingularValues, AreKnownWhereAAndBHaveOrthogonalVectors) {
  LoraWeights weights{at::zeros({1, 4, 2}, at::kDouble), at::zeros({1, 2, 3}, at::kDouble), {}};
  weights.a[0][3][0] = -3.0;  // A B = -3 * 2 e_3 f_1 + 0.5 * 4 e_0 f_2
  weights.b[0][0][1] = 2.0;
  weights.a[0][0][1] = 0.5;
  weights.b[0][1][2] = 4.0;
  EXPECT_TRUE(tensors_match(delta_singular_values(weights), at::tensor({6.0, 2.0}, at::kDouble).view({1, 2}), 1e-12));
  EXPECT_NEAR(delta_inner_products(weights).item<double>(), 36.0 + 4.0, 1e-12);
}

TEST(EffectiveRank, CountsEqualSingularValues) {
  EXPECT_NEAR(effective_rank(at::tensor({2.0, 2.0, 2.0, 0.0}, at::kDouble)), 3.0, 1e-12);
  EXPECT_NEAR(effective_rank(at::tensor({5.0, 0.0}, at::kDouble)), 1.0, 1e-12);
  EXPECT_EQ(effective_rank(at::zeros({3}, at::kDouble)), 0.0);
  const double entropy = -(0.75 * std::log(0.75) + 0.25 * std::log(0.25));
  EXPECT_NEAR(effective_rank(at::tensor({3.0, 1.0}, at::kDouble)), std::exp(entropy), 1e-12);
}

TEST(DiagnoseLoras, EqualsTheDefinitions) {
  const LoraTree tree = random_tree(5, 2, 10);
  const at::Tensor vectors = random_tensor({5, 30}, at::kDouble, 3);
  const at::Tensor weight_norms = random_tensor({2, 7}, at::kDouble, 4).abs() + 0.5;
  const LoraDiagnostics found = diagnose_loras(tree, vectors, weight_norms);
  const Agreement delta = agreement_by_definition(flat_deltas(tree)), vector = agreement_by_definition(vectors);
  EXPECT_EQ(found.contexts, 5);
  EXPECT_NEAR(found.delta.mean_cosine, delta.mean_cosine, 1e-12);
  EXPECT_NEAR(found.delta.mean_share, delta.mean_share, 1e-12);
  EXPECT_NEAR(found.vector.mean_cosine, vector.mean_cosine, 1e-12);
  EXPECT_NEAR(found.vector.mean_share, vector.mean_share, 1e-12);
  for (const Projection p : kProjections) {
    const auto column = static_cast<std::size_t>(p);
    double sum = 0.0, largest = 0.0;
    for (std::size_t layer = 0; layer < 2; ++layer) {
      for (std::int64_t i = 0; i < 5; ++i) {
        const LoraWeights& weights = tree.layers[layer][p];
        const double norm = weights.a[i].matmul(weights.b[i]).norm().item<double>();
        const double relative =
            norm / weight_norms[static_cast<std::int64_t>(layer)][static_cast<std::int64_t>(column)].item<double>();
        sum += relative;
        largest = std::max(largest, relative);
      }
    }
    EXPECT_NEAR(found.relative_norm[column], sum / 10, 1e-12) << name_of(p);
    EXPECT_NEAR(found.max_relative_norm[column], largest, 1e-12) << name_of(p);
  }
}

TEST(DiagnoseLoras, OneConstantLoraIsACollapse) {
  const LoraTree one = random_tree(1, 2, 10);
  LoraTree same;
  for (const LoraLayer& layer : one.layers) {
    LoraLayer& expanded = same.layers.emplace_back();
    for (const Projection p : kProjections) {
      expanded[p] = {layer[p].a.expand({4, -1, -1}), layer[p].b.expand({4, -1, -1}), {}};
    }
  }
  const LoraDiagnostics found =
      diagnose_loras(same, random_tensor({1, 9}, at::kDouble, 2).expand({4, 9}), ones_for(same));
  for (const double value :
       {found.delta.mean_cosine, found.delta.mean_share, found.vector.mean_cosine, found.vector.mean_share}) {
    EXPECT_NEAR(value, 1.0, 1e-12);
  }
}

TEST(DiagnoseLoras, OrthogonalChangesShareNothing) {
  LoraTree tree = random_tree(4, 1, 10);
  for (LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections) {
      layer[p].a = at::ones_like(layer[p].a);
      layer[p].b = at::zeros_like(layer[p].b);
    }
  }
  LoraWeights& gate = tree.layers[1][Projection::gate];  // (4, 3, 1) and (4, 1, 5): a column of its own for each
  for (std::int64_t i = 0; i < 4; ++i) gate.b[i][0][i] = 2.0;
  const LoraDiagnostics found = diagnose_loras(tree, at::eye(4, at::kDouble), ones_for(tree));
  for (const Agreement& agreement : {found.delta, found.vector}) {
    EXPECT_NEAR(agreement.mean_cosine, 0.0, 1e-12);
    EXPECT_NEAR(agreement.mean_share, 0.25, 1e-12);
  }
  EXPECT_NEAR(found.max_relative_norm[static_cast<std::size_t>(Projection::gate)], 2.0 * std::sqrt(3.0), 1e-12);
  EXPECT_EQ(found.relative_norm[static_cast<std::size_t>(Projection::q)], 0.0);
}

TEST(DiagnoseLoras, NothingComparesWithAZeroLoraOrAlone) {
  LoraTree tree = random_tree(1, 2, 10);
  LoraDiagnostics alone = diagnose_loras(tree, at::ones({1, 3}), ones_for(tree));
  EXPECT_TRUE(std::isnan(alone.delta.mean_cosine));
  EXPECT_NEAR(alone.delta.mean_share, 1.0, 1e-12);
  tree = random_tree(2, 2, 10);
  for (LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections) layer[p].b[1].zero_();
  }
  EXPECT_TRUE(std::isnan(diagnose_loras(tree, at::ones({2, 3}), ones_for(tree)).delta.mean_cosine));
}

TEST(DiagnoseLoras, RefusesWhatDoesNotFit) {
  const LoraTree tree = random_tree(2, 2, 10);
  EXPECT_THROW(diagnose_loras(tree, at::ones({3, 3}), ones_for(tree)), ShapeError);
  EXPECT_THROW(diagnose_loras(tree, at::ones({2, 3}), at::ones({3, 7})), ShapeError);
}

}  // namespace
}  // namespace shine::test
