#include "hypernetwork/m2p_transformer.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/container/modulelist.h>

#include "shine/common/error.h"

namespace shine {

at::Tensor make_couple_mask(const M2pShape& shape, std::int64_t width, at::Device device) {
  const std::int64_t tokens = shape.memory_tokens * shape.hidden_size / width;
  at::Tensor mask = at::ones({tokens, tokens}, at::TensorOptions().dtype(at::kBool).device(device));
  std::int64_t start = 0;
  for (const Projection p : kProjections) {
    const std::int64_t a = shape.spec[p].in * shape.rank / width, b = shape.rank * shape.spec[p].out / width;
    mask.narrow(0, start, a).narrow(1, start + a, b).fill_(false);
    mask.narrow(0, start + a, b).narrow(1, start, a).fill_(false);
    start += a + b;
  }
  mask.narrow(0, start, tokens - start).narrow(1, start, tokens - start).fill_(false);
  return mask;
}

M2pTransformer::M2pTransformer(const M2pConfig& config, const M2pShape& shape, bool recompute, at::ScalarType compute)
    : config_(config), shape_(shape), recompute_(recompute) {
  declare_positions(config, shape);
  const auto add_layers = [&](const char* name, std::int64_t count, const EncoderLayerOptions& options) {
    const auto list = register_module(name, torch::nn::ModuleList());
    std::vector<EncoderLayer> layers;
    for (std::int64_t i = 0; i < count; ++i) {
      layers.emplace_back(options);
      list->push_back(layers.back());
    }
    return layers;
  };
  layers_ = add_layers(
      "transformer_layers", config.num_layers,
      {.width = shape.hidden_size, .heads = config.heads, .feedforward = config.feedforward, .compute = compute});
  couple_layers_ = add_layers("couple_layers", config.couple_layers,
                              {.width = config.couple_width,
                               .heads = config.couple_heads,
                               .feedforward = config.couple_feedforward,
                               .compute = compute});
}

void M2pTransformer::initialise(at::Generator& generator) {
  initialise_positions();
  for (EncoderLayer& layer : layers_) layer->initialise(generator);
  for (EncoderLayer& layer : couple_layers_) layer->initialise(generator);
}

at::Tensor M2pTransformer::forward(const at::Tensor& memory_states) const {
  at::Tensor x = add_positions(memory_states);  // (B, L, M * pool, H)
  const std::int64_t batch = x.size(0), layers = x.size(1), tokens = x.size(2), width = x.size(3);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    // Sequences along dimension 1: of L states of each memory token, or of the M states of each layer.
    const bool across_layers = (i % 2 == 0) == config_.layers_first;
    if (!across_layers) x = x.reshape({batch * layers, tokens, width});
    x = run_encoder_layer(layers_[i], x, /*attn_mask=*/{}, recompute_).reshape({batch, layers, tokens, width});
  }
  x = mean_pool(x, config_.mean_pool_size);  // (B, L, M, H)
  if (!couple_layers_.empty()) {
    x = x.reshape({batch * layers, -1, config_.couple_width});  // (B L, M H / width, width)
    const at::Tensor mask = make_couple_mask(shape_, config_.couple_width, x.device());
    for (const EncoderLayer& layer : couple_layers_) x = run_encoder_layer(layer, x, mask, recompute_);
  }
  return x.reshape({batch, -1});  // (B, L * M * H)
}

}  // namespace shine
