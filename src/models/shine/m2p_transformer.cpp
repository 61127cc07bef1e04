#include "m2p_transformer.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "shine/common/error.h"

namespace shine {

at::Tensor make_couple_mask(const M2pShape& shape, std::int64_t width) {
  const std::int64_t tokens = shape.memory_tokens * shape.hidden_size / width;
  at::Tensor hidden = at::ones({tokens, tokens}, at::TensorOptions().dtype(at::kBool));
  std::int64_t start = 0;
  for (const Projection p : kProjections) {
    const std::int64_t a = shape.spec[p].in * shape.rank / width, b = shape.rank * shape.spec[p].out / width;
    hidden.narrow(0, start, a).narrow(1, start + a, b).fill_(false);
    hidden.narrow(0, start + a, b).narrow(1, start, a).fill_(false);
    start += a + b;
  }
  hidden.narrow(0, start, tokens - start).narrow(1, start, tokens - start).fill_(false);
  return hidden;
}

M2pTransformer::M2pTransformer(const M2pConfig& config, const M2pShape& shape, bool recompute, at::ScalarType compute)
    : config_(config),
      shape_(shape),
      recompute_(recompute),
      compute_(compute),
      layers_(static_cast<std::size_t>(config.num_layers)),
      couple_layers_(static_cast<std::size_t>(config.couple_layers)) {
  declare_positions(shape, shape.memory_tokens * config.mean_pool_size);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].declare(parameters_, str("transformer_layers.", i, "."), shape.hidden_size, config.feedforward);
  }
  for (std::size_t i = 0; i < couple_layers_.size(); ++i) {
    couple_layers_[i].declare(parameters_, str("couple_layers.", i, "."), config.couple_width,
                              config.couple_feedforward);
  }
  if (!couple_layers_.empty()) couple_mask_ = make_couple_mask(shape, config.couple_width);
}

void M2pTransformer::initialise(at::Generator& generator) const {
  layer_pe_.zero_();
  token_pe_.zero_();
  for (const EncoderLayer& layer : layers_) layer.initialise(generator);
  for (const EncoderLayer& layer : couple_layers_) layer.initialise(generator);
}

at::Tensor M2pTransformer::forward(const at::Tensor& memory_states) const {
  at::Tensor x = add_positions(memory_states);  // (B, L, M * pool, H)
  const std::int64_t batch = x.size(0), layers = x.size(1), tokens = x.size(2), width = x.size(3);
  const EncoderLayerOptions options{config_.heads, recompute_, {}, compute_};
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const bool across_layers = (i % 2 == 0) == config_.layers_first;
    if (!across_layers) x = x.reshape({batch * layers, tokens, width});
    x = run_encoder_layer(layers_[i], x, options).reshape({batch, layers, tokens, width});
  }
  x = mean_pool(x, config_.mean_pool_size);
  if (!couple_layers_.empty()) x = run_couple_layers(x);
  return x.reshape({batch, -1});
}

at::Tensor M2pTransformer::run_couple_layers(const at::Tensor& x) const {
  {
    const c10::InferenceMode off(false);  // a later training pass reads it too
    couple_mask_ = couple_mask_.to(x.device());
  }
  const EncoderLayerOptions options{config_.couple_heads, recompute_, couple_mask_, compute_};
  at::Tensor tokens = x.reshape({x.size(0) * x.size(1), -1, config_.couple_width});  // (B L, M H / width, width)
  for (const EncoderLayer& layer : couple_layers_) tokens = run_encoder_layer(layer, tokens, options);
  return tokens;
}

}  // namespace shine
