#include "decoder/activation_plan.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

namespace shine {

ActivationBytes activation_bytes_of(SublayerBackend backend, const DecoderConfig& config, at::ScalarType type,
                                    std::int64_t rank) {
  const auto value = static_cast<std::int64_t>(at::elementSize(type));
  const std::int64_t wide = type == at::kDouble ? 8 : 4, kv = config.kv_heads * config.head_dim,
                     q = config.heads * config.head_dim, inputs = 2 * config.hidden_size * value;
  if (backend == SublayerBackend::torch) {
    // q, k, v; the same after norm and rotation, of all heads; the attention's output, of rows and end to end.
    const std::int64_t norms = config.qk_norm ? 1 : 0;
    return {.inputs = inputs,
            .attention = (q + 2 * kv + 3 * q + 2 * q + 4 * rank) * value +
                         (config.heads + norms * (config.heads + config.kv_heads)) * wide,
            .mlp = (2 * config.intermediate_size + 3 * rank) * value};
  }
  const std::int64_t padded = type == at::kBFloat16 ? (rank + 1) / 2 * 2 : rank;
  return {.inputs = inputs,
          .attention = (2 * q + 2 * kv + 4 * padded) * value + (1 + config.heads) * wide,  // q, k, v, attn_out; x A
          .mlp = (2 * config.intermediate_size + 3 * padded) * value + wide};
}

std::vector<LayerActivations> plan_activations(std::size_t count, const ActivationBytes& each, std::int64_t tokens,
                                               std::int64_t budget) {
  std::vector<LayerActivations> layers(count);
  if (budget == 0) return layers;
  const std::int64_t whole = tokens * (each.inputs + each.attention + each.mlp);
  std::int64_t excess = static_cast<std::int64_t>(count) * whole - budget;
  for (auto layer = layers.begin(); layer != layers.end() && excess > 0; ++layer, excess -= tokens * each.mlp) {
    layer->mlp = SavedActivations::input_only;
  }
  for (auto layer = layers.begin(); layer != layers.end() && excess > 0; ++layer, excess -= tokens * each.attention) {
    layer->attention = SavedActivations::input_only;
  }
  return layers;
}

std::int64_t plan_plain_layers(const DecoderConfig& config, at::ScalarType type, std::int64_t tokens,
                               std::int64_t budget) {
  if (budget == 0) return 0;
  // Inputs of norms and projections (8 H), q, k, v before and after the rotation and as the kernel reads them, gate,
  // up, their product.
  const std::int64_t values = 8 * config.hidden_size + 3 * config.head_dim * (config.heads + 2 * config.kv_heads) +
                              4 * config.intermediate_size;
  const std::int64_t whole = tokens * values * static_cast<std::int64_t>(at::elementSize(type));
  const std::int64_t saved = whole - tokens * config.hidden_size * static_cast<std::int64_t>(at::elementSize(type));
  const std::int64_t excess = config.layers * whole - budget;
  if (excess <= 0 || saved <= 0) return 0;
  return std::min(config.layers, (excess + saved - 1) / saved);
}

}  // namespace shine
