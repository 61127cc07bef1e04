#include "lora/lora_layout.h"

#include <c10/core/InferenceMode.h>

#include "lora/small_spec.h"
#include "shine/common/error.h"
#include "support/gradient_check.h"

namespace shine::test {
namespace {

constexpr std::int64_t kBatch = 2, kRank = 2;
constexpr double kScale = 0.04;  // its root is 0.2

LoraLayout layout_of(LoraReshape reshape, bool biases) {
  return {small_spec(biases), kRank, reshape, kScale};
}

/// A vector whose layers have `tail` values that no LoRA uses.
at::Tensor vector_of(const LoraLayout& layout, std::int64_t tail) {
  const std::int64_t block = layout.spec.numel_per_layer(layout.rank) + tail;
  return random_leaf({kBatch, layout.spec.layers * block});
}

at::Tensor flat(LoraTree tree) {
  std::vector<at::Tensor> all;
  for_each_tensor(tree, [&](const std::string&, at::Tensor& tensor) { all.push_back(tensor.reshape({-1})); });
  return at::cat(all);
}

/// The same tensor by tensor, each sliced from the vector by autograd, the reshape read as the paper writes it.
LoraTree reference(const at::Tensor& vector, const LoraLayout& layout) {
  const bool a_by_rank = layout.reshape == LoraReshape::lr || layout.reshape == LoraReshape::ll;
  const bool b_by_output = layout.reshape == LoraReshape::rr || layout.reshape == LoraReshape::lr;
  const std::int64_t batch = vector.size(0), r = layout.rank;
  LoraTree tree;
  tree.layers.resize(static_cast<std::size_t>(layout.spec.layers));
  for (std::int64_t layer = 0; layer < layout.spec.layers; ++layer) {
    std::int64_t start = layer * vector.size(1) / layout.spec.layers;
    const auto next = [&](std::int64_t length, double factor) {
      const at::Tensor values = vector.narrow(1, start, length).contiguous() * factor;
      start += length;
      return values;
    };
    for (const Projection p : kProjections) {
      const auto [in, out, has_bias] = layout.spec[p];
      LoraWeights& weights = tree.layers[static_cast<std::size_t>(layer)][p];
      const at::Tensor a = next(in * r, std::sqrt(layout.scale)), b = next(r * out, std::sqrt(layout.scale));
      weights.a = a_by_rank ? a.view({batch, r, in}).transpose(1, 2) : a.view({batch, in, r});
      weights.b = b_by_output ? b.view({batch, out, r}).transpose(1, 2) : b.view({batch, r, out});
      if (has_bias) weights.c = next(out, layout.scale);
    }
  }
  return tree;
}

struct Case {
  LoraReshape reshape;
  bool biases;
  std::int64_t tail;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto reshape : {LoraReshape::rl, LoraReshape::rr, LoraReshape::lr, LoraReshape::ll}) {
    for (const bool biases : {false, true}) {
      for (const std::int64_t tail : {0, 5}) cases.push_back({reshape, biases, tail});
    }
  }
  return cases;
}

std::string text(const Case& c) {
  return str(config_names(c.reshape)[static_cast<std::size_t>(c.reshape)], c.biases ? " biases" : "", " tail ", c.tail);
}

TEST(LoraLayout, IndicesAreThoseOfTheReshape) {
  for (const Case& c : all_cases()) {
    const LoraLayout layout = layout_of(c.reshape, c.biases);
    const at::Tensor vector = vector_of(layout, c.tail).detach();
    const LoraTree tree = lora_from_vector(vector, layout);
    const auto v = vector.accessor<double, 2>();
    const double root = std::sqrt(kScale);
    const bool a_as_in_r = c.reshape == LoraReshape::rl || c.reshape == LoraReshape::rr;
    const bool b_as_r_out = c.reshape == LoraReshape::rl || c.reshape == LoraReshape::ll;
    ASSERT_EQ(tree.layers.size(), 2U);
    for (std::int64_t layer = 0; layer < 2; ++layer) {
      std::int64_t at = layer * vector.size(1) / 2;
      for (const Projection p : kProjections) {
        const auto [in, out, has_bias] = layout.spec[p];
        const LoraWeights& w = tree.layers[static_cast<std::size_t>(layer)][p];
        const auto where = str(text(c), " layer ", layer, " ", name_of(p));
        ASSERT_EQ(w.a.sizes(), at::IntArrayRef({kBatch, in, kRank})) << where;
        ASSERT_EQ(w.b.sizes(), at::IntArrayRef({kBatch, kRank, out})) << where;
        ASSERT_EQ(w.c.defined(), has_bias) << where;
        const auto a = w.a.accessor<double, 3>(), b = w.b.accessor<double, 3>();
        for (std::int64_t n = 0; n < kBatch; ++n) {
          for (std::int64_t k = 0; k < kRank; ++k) {
            for (std::int64_t i = 0; i < in; ++i) {
              ASSERT_DOUBLE_EQ(a[n][i][k], root * v[n][at + (a_as_in_r ? i * kRank + k : k * in + i)]) << where;
            }
            for (std::int64_t o = 0; o < out; ++o) {
              const std::int64_t index = at + in * kRank + (b_as_r_out ? k * out + o : o * kRank + k);
              ASSERT_DOUBLE_EQ(b[n][k][o], root * v[n][index]) << where;
            }
          }
          for (std::int64_t o = 0; has_bias && o < out; ++o) {
            const double found = w.c[n][o].item<double>();
            ASSERT_DOUBLE_EQ(found, kScale * v[n][at + (in + out) * kRank + o]) << where;
          }
        }
        at += (in + out) * kRank + (has_bias ? out : 0);
      }
    }
  }
}

TEST(LoraLayout, AgreesWithSlicingEachTensor) {
  for (const Case& c : all_cases()) {
    const LoraLayout layout = layout_of(c.reshape, c.biases);
    const TensorFunction found = [&](const auto& in) { return flat(lora_from_vector(in[0], layout)); };
    const TensorFunction expected = [&](const auto& in) { return flat(reference(in[0], layout)); };
    const at::Tensor vector = vector_of(layout, c.tail);
    EXPECT_TRUE(forms_agree(found, expected, {vector}, 0.0)) << text(c);
    EXPECT_TRUE(forms_agree(found, expected, {leaf(vector.to(at::kFloat))}, 1e-7)) << text(c);
    // One rounding to bfloat16 in both.
    EXPECT_TRUE(forms_agree(found, expected, {leaf(vector.to(at::kBFloat16))}, 8e-3)) << text(c);
  }
}

TEST(LoraLayout, GradientMatchesDifferences) {
  for (const Case& c : all_cases()) {
    if (!c.biases || c.tail == 0) continue;  // the test before covers the rest
    const LoraLayout layout = layout_of(c.reshape, c.biases);
    const TensorFunction f = [&](const auto& in) { return flat(lora_from_vector(in[0], layout)); };
    EXPECT_TRUE(gradients_match_differences(f, {vector_of(layout, c.tail)})) << text(c);
  }
}

TEST(LoraLayout, UnusedTailGetsNoGradient) {
  const LoraLayout layout = layout_of(LoraReshape::lr, true);
  const at::Tensor vector = vector_of(layout, 5);
  flat(lora_from_vector(vector, layout)).square().sum().backward();
  const std::int64_t block = vector.size(1) / 2;
  const at::Tensor by_layer = vector.grad().view({kBatch, 2, block});
  EXPECT_EQ(by_layer.narrow(2, block - 5, 5).abs().max().item<double>(), 0.0);
  EXPECT_GT(by_layer.narrow(2, 0, block - 5).abs().min().item<double>(), 0.0);
}

TEST(LoraLayout, OutputsThatAreNotUsedLeaveZeros) {
  const LoraLayout layout = layout_of(LoraReshape::rr, true);
  const at::Tensor vector = vector_of(layout, 5);
  const auto some = [&](const LoraTree& tree) {
    return at::cat({tree.layers[1][Projection::v].b.flatten(), tree.layers[0][Projection::q].c.flatten()});
  };
  EXPECT_TRUE(forms_agree([&](const auto& in) { return some(lora_from_vector(in[0], layout)); },
                          [&](const auto& in) { return some(reference(in[0], layout)); }, {vector}, 0.0));
}

TEST(LoraLayout, RefusesVectorsThatDoNotFit) {
  const LoraLayout layout = layout_of(LoraReshape::rl, false);
  const std::int64_t needed = layout.spec.numel_per_layer(kRank);
  EXPECT_NO_THROW(lora_from_vector(at::zeros({1, 2 * needed}), layout));
  for (const std::vector<std::int64_t>& sizes :
       {std::vector<std::int64_t>{1, 2 * needed - 2}, {1, 2 * needed + 1}, {2 * needed}, {1, 1, 2 * needed}}) {
    EXPECT_THROW(lora_from_vector(at::zeros(sizes), layout), ShapeError) << at::IntArrayRef(sizes);
  }
}

TEST(LoraLayout, TensorsAreContiguousInInferenceToo) {
  const LoraLayout layout = layout_of(LoraReshape::lr, true);
  const at::Tensor vector = vector_of(layout, 5);
  const at::Tensor expected = flat(lora_from_vector(vector, layout));
  const c10::InferenceMode inference;
  LoraTree tree = lora_from_vector(vector, layout);
  for_each_tensor(tree,
                  [](const std::string& name, at::Tensor& tensor) { EXPECT_TRUE(tensor.is_contiguous()) << name; });
  EXPECT_TRUE(at::equal(flat(tree), expected));
}

}  // namespace
}  // namespace shine::test
