#include "shine/hypernetwork/meta_lora.h"

#include <ATen/ATen.h>

namespace shine {

void ProjectionLoraImpl::reset() {
  weights.a = declare("A", {1, spec.in, rank}, Decay::always);
  weights.b = declare("B", {1, rank, spec.out}, Decay::always);
  if (spec.has_bias) weights.c = declare("C", {1, spec.out}, Decay::published_only);
}

void LayerLoraImpl::reset() {
  attention = register_module("attention", torch::nn::ModuleDict());
  mlp = register_module("mlp", torch::nn::ModuleDict());
  for (const Projection p : kProjections) {
    auto& group = p >= Projection::gate ? *mlp : *attention;
    group.update({{std::string(name_of(p)), ProjectionLora(spec[p], rank).ptr()}});
  }
}

const LoraWeights& LayerLoraImpl::weights(Projection which) const {
  const auto& group = which >= Projection::gate ? *mlp : *attention;
  return group.at<ProjectionLoraImpl>(std::string(name_of(which))).weights;
}

void MetaLoraImpl::reset() {
  layers.clear();
  for (std::int64_t i = 0; i < spec.layers; ++i) {
    layers.push_back(register_module(std::to_string(i), LayerLora(spec, rank)));
  }
}

LoraTree MetaLoraImpl::tree() const {
  LoraTree tree;
  for (const LayerLora& layer : layers) {
    LoraLayer& added = tree.layers.emplace_back();
    for (const Projection p : kProjections) added[p] = layer->weights(p);
  }
  return tree;
}

void MetaLoraImpl::initialise(double scale, at::Generator& generator) {
  const at::NoGradGuard no_grad;
  const LoraTree values = make_meta_lora(spec, rank, scale, generator);
  const LoraTree own = tree();
  for (std::size_t i = 0; i < own.layers.size(); ++i) {
    for (const Projection p : kProjections) {
      const LoraWeights &to = own.layers[i][p], &from = values.layers[i][p];
      to.a.copy_(from.a);
      to.b.copy_(from.b);
      if (to.c.defined()) to.c.copy_(from.c);
    }
  }
}

}  // namespace shine
