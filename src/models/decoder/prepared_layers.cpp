#include "prepared_layers.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace shine {
namespace {

at::Tensor wide(const at::Tensor& norm) {
  if (!norm.defined()) return norm;
  return norm.detach().to(norm.scalar_type() == at::kDouble ? at::kDouble : at::kFloat).contiguous();
}

PreparedLinear prepare(const DecoderLayer& layer, Projection projection) {
  const DecoderLayer::Linear& linear = layer.projections[static_cast<std::size_t>(projection)];
  return prepare_linear(linear.weight, linear.bias);
}

PreparedLayers::Layer prepare(const DecoderLayer& layer, const DecoderConfig& config) {
  AttentionWeights attention;
  attention.norm = wide(layer.input_norm);
  attention.q_norm = wide(layer.q_norm);
  attention.k_norm = wide(layer.k_norm);
  attention.linear = {prepare(layer, Projection::q), prepare(layer, Projection::k), prepare(layer, Projection::v),
                      prepare(layer, Projection::o)};
  attention.heads = config.heads;
  attention.kv_heads = config.kv_heads;
  attention.head_dim = config.head_dim;
  attention.eps = config.rms_norm_eps;
  MlpWeights mlp;
  mlp.norm = wide(layer.post_attention_norm);
  mlp.linear = {prepare(layer, Projection::gate), prepare(layer, Projection::up), prepare(layer, Projection::down)};
  mlp.eps = config.rms_norm_eps;
  return {std::make_shared<const AttentionWeights>(std::move(attention)),
          std::make_shared<const MlpWeights>(std::move(mlp))};
}

}  // namespace

PreparedLayers::Stamp PreparedLayers::stamp_of(const std::vector<DecoderLayer>& weights) {
  Stamp stamp;
  const auto add = [&stamp](const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    stamp.emplace_back(tensor.detach(), tensor.is_inference() ? 0 : static_cast<std::uint32_t>(tensor._version()));
  };
  for (const DecoderLayer& layer : weights) {
    for (const auto* norm : {&layer.input_norm, &layer.post_attention_norm, &layer.q_norm, &layer.k_norm}) add(*norm);
    for (const auto& linear : layer.projections) {
      add(linear.weight);
      add(linear.bias);
    }
  }
  return stamp;
}

bool PreparedLayers::same(const Stamp& first, const Stamp& second) {
  return std::ranges::equal(first, second, [](const auto& a, const auto& b) {
    return a.first.const_data_ptr() == b.first.const_data_ptr() && a.second == b.second;
  });
}

void PreparedLayers::clear() {
  const std::scoped_lock lock(mutex_);
  stamp_.clear();
  layers_.clear();
}

std::vector<PreparedLayers::Layer> PreparedLayers::get(const std::vector<DecoderLayer>& weights,
                                                       const DecoderConfig& config) {
  const std::scoped_lock lock(mutex_);
  Stamp stamp = stamp_of(weights);
  if (layers_.empty() || !same(stamp, stamp_)) {
    layers_.clear();
    for (const DecoderLayer& layer : weights) layers_.push_back(prepare(layer, config));
    stamp_ = std::move(stamp);
  }
  return layers_;
}

}  // namespace shine
