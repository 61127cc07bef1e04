#include "prepared_layers.h"

#include <ATen/ATen.h>

#include "layer_weights.h"

namespace shine {
namespace {

PreparedLayers::Layer prepare(const DecoderLayer& layer, const DecoderConfig& config, SublayerEngine engine) {
  const auto linear = [&](Projection projection) {
    const DecoderLayer::Linear& weights = layer.projections[static_cast<std::size_t>(projection)];
    return prepare_linear(engine, weights.weight, weights.bias);
  };
  AttentionWeights attention;
  attention.engine = engine;
  attention.norm = prepare_norm(engine, layer.input_norm);
  attention.q_norm = prepare_norm(engine, layer.q_norm);
  attention.k_norm = prepare_norm(engine, layer.k_norm);
  attention.linear = {linear(Projection::q), linear(Projection::k), linear(Projection::v), linear(Projection::o)};
  attention.heads = config.heads;
  attention.kv_heads = config.kv_heads;
  attention.head_dim = config.head_dim;
  attention.eps = config.rms_norm_eps;
  MlpWeights mlp;
  mlp.engine = engine;
  mlp.norm = prepare_norm(engine, layer.post_attention_norm);
  mlp.linear = {linear(Projection::gate), linear(Projection::up), linear(Projection::down)};
  mlp.eps = config.rms_norm_eps;
  return {std::make_shared<const AttentionWeights>(std::move(attention)),
          std::make_shared<const MlpWeights>(std::move(mlp))};
}

std::uint32_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0 : static_cast<std::uint32_t>(tensor._version());
}

/// Calls f with every weight of all layers that there is.
template <class Function>
void for_each_defined(const std::vector<DecoderLayer>& layers, const Function& f) {
  for (const DecoderLayer& layer : layers) {
    for_each_weight(layer, [&](const at::Tensor& weight) {
      if (weight.defined()) f(weight);
    });
  }
}

}  // namespace

bool PreparedLayers::is_current(const std::vector<DecoderLayer>& weights) const {
  auto known = stamp_.begin();
  bool current = layers_ != nullptr;
  for_each_defined(weights, [&](const at::Tensor& weight) {
    current =
        current && known->first.const_data_ptr() == weight.const_data_ptr() && known->second == version_of(weight);
    if (current) ++known;
  });
  return current;
}

void PreparedLayers::clear() {
  const std::scoped_lock lock(mutex_);
  stamp_.clear();
  layers_.reset();
}

std::shared_ptr<const std::vector<PreparedLayers::Layer>> PreparedLayers::get(const std::vector<DecoderLayer>& weights,
                                                                              const DecoderConfig& config,
                                                                              SublayerEngine engine) {
  const std::scoped_lock lock(mutex_);
  if (engine != engine_ || !is_current(weights)) {
    engine_ = engine;
    stamp_.clear();
    for_each_defined(weights,
                     [&](const at::Tensor& weight) { stamp_.emplace_back(weight.detach(), version_of(weight)); });
    layers_.reset();
    std::vector<Layer> layers;
    for (const DecoderLayer& layer : weights) layers.push_back(prepare(layer, config, engine));
    layers_ = std::make_shared<const std::vector<Layer>>(std::move(layers));
  }
  return layers_;
}

}  // namespace shine
