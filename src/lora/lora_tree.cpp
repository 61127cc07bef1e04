#include "shine/lora/lora_tree.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "shine/common/error.h"

namespace shine {

std::int64_t LoraTree::adapters() const {
  return layers.empty() ? 0 : layers[0][Projection::q].a.size(0);
}

std::int64_t LoraTree::rank() const {
  return layers.empty() ? 0 : layers[0][Projection::q].a.size(2);
}

void for_each_tensor(LoraTree& tree, const std::function<void(const std::string&, at::Tensor&)>& f) {
  for (std::size_t layer = 0; layer < tree.layers.size(); ++layer) {
    for (const Projection projection : kProjections) {
      LoraWeights& weights = tree.layers[layer][projection];
      const std::string prefix = str(layer, ".", dotted_name(projection), ".");
      f(prefix + "A", weights.a);
      f(prefix + "B", weights.b);
      if (weights.c.defined()) f(prefix + "C", weights.c);
    }
  }
}

LoraLayer lora_layer_of(std::span<const at::Tensor> tensors) {
  LoraLayer layer;
  SHINE_CHECK(tensors.size() == 3 * layer.projections.size(), ShapeError, tensors.size(), " tensors of a LoRA layer");
  std::ranges::copy(lora_weights_of(tensors), layer.projections.begin());
  return layer;
}

namespace {

at::Tensor expand_adapters(const at::Tensor& tensor, std::int64_t adapters) {
  if (!tensor.defined()) return tensor;
  auto sizes = tensor.sizes().vec();
  sizes[0] = adapters;
  return tensor.expand(sizes);
}

at::Tensor add_terms(const at::Tensor& first, const at::Tensor& second) {
  if (!first.defined()) return second;
  return second.defined() ? first + second : first;
}

}  // namespace

LoraTree concat_ranks(const LoraTree& first, const LoraTree& second) {
  SHINE_CHECK(first.layers.size() == second.layers.size(), ShapeError, "cannot merge LoRAs of ", first.layers.size(),
              " and ", second.layers.size(), " layers");
  const std::int64_t adapters = std::max(first.adapters(), second.adapters());
  for (const LoraTree* tree : {&first, &second}) {
    SHINE_CHECK(tree->adapters() == adapters || tree->adapters() == 1, ShapeError, "cannot merge ", first.adapters(),
                " and ", second.adapters(), " LoRAs: expected equal numbers, or one shared by all");
  }
  LoraTree merged;
  merged.layers.resize(first.layers.size());
  for (std::size_t layer = 0; layer < merged.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      const LoraWeights& x = first.layers[layer][p];
      const LoraWeights& y = second.layers[layer][p];
      SHINE_CHECK(x.a.size(1) == y.a.size(1) && x.b.size(2) == y.b.size(2), ShapeError, "cannot merge LoRAs of ",
                  dotted_name(p), " of layer ", layer, ": A ", x.a.sizes(), " and ", y.a.sizes(), ", B ", x.b.sizes(),
                  " and ", y.b.sizes());
      merged.layers[layer][p] = {
          at::cat({expand_adapters(x.a, adapters), expand_adapters(y.a, adapters)}, 2),  // (B_l, in, r1 + r2)
          at::cat({expand_adapters(x.b, adapters), expand_adapters(y.b, adapters)}, 1),  // (B_l, r1 + r2, out)
          add_terms(expand_adapters(x.c, adapters), expand_adapters(y.c, adapters))};    // (B_l, out)
    }
  }
  return merged;
}

LoraTree make_meta_lora(const LoraSpec& spec, std::int64_t rank, double scale, at::Generator& generator) {
  const auto options = at::TensorOptions().dtype(at::kFloat);
  LoraTree tree;
  tree.layers.resize(static_cast<std::size_t>(spec.layers));
  for (LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections) {
      const ProjectionSpec& sizes = spec[p];
      layer[p].a = at::empty({1, sizes.in, rank}, options).normal_(0.0, std::sqrt(scale), generator);
      layer[p].b = at::zeros({1, rank, sizes.out}, options);
      if (sizes.has_bias) layer[p].c = at::zeros({1, sizes.out}, options);
    }
  }
  return tree;
}

}  // namespace shine
