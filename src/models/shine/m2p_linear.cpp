#include "m2p_linear.h"

#include <ATen/ATen.h>

#include <cmath>

#include "shine/common/str.h"
#include "shine/nn/encoder_layer.h"

namespace shine {

M2pLinear::M2pLinear(const M2pConfig& config, const M2pShape& shape, at::ScalarType compute)
    : config_(config), compute_(compute), layers_(static_cast<std::size_t>(config.num_layers)) {
  declare_positions(shape, shape.memory_tokens * config.mean_pool_size);
  const std::int64_t width = shape.hidden_size;
  const std::int64_t last = config.kind == M2pKind::lineargate ? 2 * width : width;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const std::int64_t in = i == 0 ? width : config.linear_hidden;
    const std::int64_t out = i + 1 == layers_.size() ? last : config.linear_hidden;
    parameters_.add(str("linear_layers.", i, ".weight"), {out, in}, layers_[i].weight);
    if (config.linear_bias) parameters_.add(str("linear_layers.", i, ".bias"), {out}, layers_[i].bias);
  }
}

void M2pLinear::initialise(at::Generator& generator) const {
  layer_pe_.zero_();
  token_pe_.zero_();
  for (const Linear& layer : layers_) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(layer.weight.size(1)));
    fill_uniform(layer.weight, bound, generator);
    if (layer.bias.defined()) fill_uniform(layer.bias, bound, generator);
  }
}

at::Tensor M2pLinear::forward(const at::Tensor& memory_states) const {
  at::Tensor x = add_positions(memory_states);
  for (const Linear& layer : layers_) {
    x = at::gelu(linear_in(compute_, x, layer.weight, layer.bias));
  }
  if (config_.kind == M2pKind::lineargate) {
    const auto halves = x.chunk(2, -1);
    x = at::sigmoid(halves[0]) * halves[1];
  }
  return mean_pool(x, config_.mean_pool_size).reshape({x.size(0), -1});
}

}  // namespace shine
