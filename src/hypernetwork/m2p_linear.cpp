#include "hypernetwork/m2p_linear.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/container/modulelist.h>

namespace shine {

M2pLinear::M2pLinear(const M2pConfig& config, const M2pShape& shape, at::ScalarType compute) : config_(config) {
  declare_positions(config, shape);
  const auto list = register_module("linear_layers", torch::nn::ModuleList());
  const std::int64_t width = shape.hidden_size, count = config.num_layers;
  const std::int64_t last = config.kind == M2pKind::lineargate ? 2 * width : width;
  for (std::int64_t i = 0; i < count; ++i) {
    layers_.emplace_back(LinearImpl::Options{.in = i == 0 ? width : config.linear_hidden,
                                             .out = i + 1 == count ? last : config.linear_hidden,
                                             .bias = config.linear_bias,
                                             .compute = compute});
    list->push_back(layers_.back());
  }
}

void M2pLinear::initialise(at::Generator& generator) {
  initialise_positions();
  for (Linear& layer : layers_) layer->initialise(generator);
}

at::Tensor M2pLinear::forward(const at::Tensor& memory_states) const {
  at::Tensor x = add_positions(memory_states);                          // (B, L, M * pool, H)
  for (const Linear& layer : layers_) x = at::gelu(layer->forward(x));  // (B, L, M * pool, hidden), at last H or 2 H
  if (config_.kind == M2pKind::lineargate) {
    const auto halves = x.chunk(2, -1);
    x = at::sigmoid(halves[0]) * halves[1];
  }
  return mean_pool(x, config_.mean_pool_size).reshape({x.size(0), -1});  // (B, L * M * H)
}

}  // namespace shine
