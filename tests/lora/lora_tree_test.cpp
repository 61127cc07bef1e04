#include "shine/lora/lora_tree.h"

#include <set>

#include "lora/small_spec.h"
#include "shine/common/error.h"
#include "support/tensor_match.h"

namespace shine::test {
namespace {

/// Random A, B and, with biases, C.
LoraTree random_tree(const LoraSpec& spec, std::int64_t adapters, std::int64_t rank, std::uint64_t seed) {
  LoraTree tree;
  tree.layers.resize(static_cast<std::size_t>(spec.layers));
  for (LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections) {
      layer[p].a = random_tensor({adapters, spec[p].in, rank}, at::kDouble, ++seed);
      layer[p].b = random_tensor({adapters, rank, spec[p].out}, at::kDouble, ++seed);
      if (spec[p].has_bias) layer[p].c = random_tensor({adapters, spec[p].out}, at::kDouble, ++seed);
    }
  }
  return tree;
}

/// Every adapter's delta (A B) and C equal the sum of both trees'.
void expect_sum(const LoraTree& first, const LoraTree& second) {
  const LoraTree merged = concat_ranks(first, second);
  EXPECT_EQ(merged.rank(), first.rank() + second.rank());
  EXPECT_EQ(merged.adapters(), std::max(first.adapters(), second.adapters()));
  for (std::size_t layer = 0; layer < merged.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      const LoraWeights &m = merged.layers[layer][p], &x = first.layers[layer][p], &y = second.layers[layer][p];
      EXPECT_TRUE(tensors_match(m.a.matmul(m.b), x.a.matmul(x.b) + y.a.matmul(y.b), 1e-12)) << layer << name_of(p);
      if (x.c.defined()) {
        EXPECT_TRUE(tensors_match(m.c, x.c + y.c, 1e-15)) << layer << name_of(p);
      }
      EXPECT_EQ(m.c.defined(), x.c.defined());
    }
  }
}

TEST(ConcatRanks, AddsTheDeltas) {
  for (const bool biases : {false, true}) {
    const LoraSpec spec = small_spec(biases);
    expect_sum(random_tree(spec, 3, 2, 0), random_tree(spec, 3, 4, 1000));
    expect_sum(random_tree(spec, 1, 2, 0), random_tree(spec, 1, 1, 1000));
    expect_sum(random_tree(spec, 1, 2, 0), random_tree(spec, 3, 4, 1000));
    expect_sum(random_tree(spec, 3, 2, 0), random_tree(spec, 1, 4, 1000));
  }
}

TEST(ConcatRanks, ASharedBiasTermOfOneSideServesEveryAdapter) {
  const LoraTree shared = random_tree(small_spec(true), 1, 2, 0), each = random_tree(small_spec(false), 3, 2, 1000);
  for (const LoraTree& merged : {concat_ranks(shared, each), concat_ranks(each, shared)}) {
    const at::Tensor c = merged.layers[0][Projection::q].c;
    EXPECT_TRUE(tensors_match(c, shared.layers[0][Projection::q].c.expand({3, 4}), 0.0));
  }
}

TEST(ConcatRanks, PassesGradientsToBothSides) {
  LoraTree shared = random_tree(small_spec(true), 1, 2, 0), each = random_tree(small_spec(true), 3, 2, 1000);
  LoraWeights &x = shared.layers[1][Projection::v], &y = each.layers[1][Projection::v];
  for (at::Tensor* tensor : {&x.a, &x.c, &y.b}) tensor->requires_grad_(true);
  const LoraTree merged = concat_ranks(shared, each);
  const LoraWeights& m = merged.layers[1][Projection::v];
  (m.a.sum() + 2.0 * m.b.sum() + 3.0 * m.c.sum()).backward();
  EXPECT_TRUE(tensors_match(x.a.grad(), at::full_like(x.a, 3.0).detach(), 1e-15));  // three adapters share it
  EXPECT_TRUE(tensors_match(x.c.grad(), at::full_like(x.c, 9.0).detach(), 1e-15));
  EXPECT_TRUE(tensors_match(y.b.grad(), at::full_like(y.b, 2.0).detach(), 1e-15));
}

TEST(ConcatRanks, RefusesTreesThatDoNotFit) {
  const LoraSpec spec = small_spec(true);
  const LoraTree tree = random_tree(spec, 2, 2, 0);
  EXPECT_THROW(concat_ranks(tree, random_tree(spec, 3, 2, 0)), ShapeError);
  LoraSpec deeper = spec, wider = spec, longer = spec;
  deeper.layers = 3;
  wider.projections[4].in += 1;
  longer.projections[2].out += 1;
  EXPECT_THROW(concat_ranks(tree, random_tree(deeper, 2, 2, 0)), ShapeError);
  EXPECT_THROW(concat_ranks(tree, random_tree(wider, 2, 2, 0)), ShapeError);
  EXPECT_THROW(concat_ranks(tree, random_tree(longer, 2, 2, 0)), ShapeError);
  EXPECT_THROW(concat_ranks(tree, random_tree(longer, 1, 2, 0)), ShapeError);
  EXPECT_THROW(concat_ranks(tree, LoraTree{}), ShapeError);
}

TEST(LoraLayerOf, TakesWhatAppendTensorsGives) {
  const LoraLayer layer = random_tree(small_spec(true), 2, 3, 0).layers[1];
  std::vector<at::Tensor> tensors;
  append_tensors(layer.projections, tensors);
  ASSERT_EQ(tensors.size(), 21U);
  EXPECT_TRUE(tensors[5].is_same(layer[Projection::k].c));
  const LoraLayer again = lora_layer_of(tensors);
  for (const Projection p : kProjections) {
    EXPECT_TRUE(again[p].a.is_same(layer[p].a) && again[p].b.is_same(layer[p].b)) << name_of(p);
    EXPECT_TRUE(again[p].c.is_same(layer[p].c)) << name_of(p);
  }
  tensors.resize(18);
  EXPECT_THROW(lora_layer_of(tensors), ShapeError);
  tensors.resize(17);
  EXPECT_THROW(lora_weights_of(tensors), ShapeError);
}

TEST(MetaLora, StartsAsNoChange) {
  LoraSpec spec = small_spec(true);
  spec.projections[0].in = 200;
  at::Generator generator = at::detail::createCPUGenerator(3);
  LoraTree tree = make_meta_lora(spec, 50, /*scale=*/0.0025, generator);
  EXPECT_EQ(tree.adapters(), 1);
  EXPECT_EQ(tree.rank(), 50);
  std::vector<std::string> names;
  for_each_tensor(tree, [&](const std::string& name, at::Tensor& tensor) {
    names.push_back(name);
    EXPECT_EQ(tensor.scalar_type(), at::kFloat);
    if (name.back() != 'A') {
      EXPECT_EQ(tensor.abs().max().item<double>(), 0.0) << name;
    }
    if (name.back() == 'A') {
      EXPECT_GT(tensor.abs().min().item<double>(), 0.0) << name;
    }
  });
  EXPECT_EQ(names.size(), 2U * (7 * 2 + 2));
  EXPECT_EQ(names[0], "0.attention.q.A");
  EXPECT_EQ(names[2], "0.attention.q.C");
  EXPECT_EQ(names.back(), "1.mlp.down.B");
  for (const LoraLayer& layer : tree.layers) {  // 10,000 values: the deviation's own error is 0.7 %
    const at::Tensor& a = layer[Projection::q].a;
    EXPECT_NEAR(a.std().item<double>(), 0.05, 0.002);
    EXPECT_NEAR(a.mean().item<double>(), 0.0, 0.002);
  }
}

TEST(MetaLora, DrawsEveryTensorAnewAndRepeatsWithTheSeed) {
  const LoraSpec spec = small_spec(false);
  const auto draws = [&](std::uint64_t seed) {
    at::Generator generator = at::detail::createCPUGenerator(seed);
    LoraTree tree = make_meta_lora(spec, 4, 0.001, generator);
    std::vector<double> firsts;
    for_each_tensor(tree, [&](const std::string& name, at::Tensor& tensor) {
      if (name.back() == 'A') firsts.push_back(tensor.flatten()[0].item<double>());
    });
    return firsts;
  };
  const auto first = draws(1);
  EXPECT_EQ(std::set<double>(first.begin(), first.end()).size(), 14U);
  EXPECT_EQ(first, draws(1));
  EXPECT_NE(first, draws(2));
}

}  // namespace
}  // namespace shine::test
