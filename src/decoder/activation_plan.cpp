#include "decoder/activation_plan.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

namespace shine {

RowPacking row_packing(const PackedRows& rows) {
  if (rows.cu_seqlens.defined()) return RowPacking::varlen;
  return rows.rows.rows() > 1 ? RowPacking::multiple : RowPacking::single;
}

ActivationBytes activation_bytes_of(SublayerBackend backend, const DecoderConfig& config, at::ScalarType type,
                                    std::int64_t rank, RowPacking rows) {
  const auto value = static_cast<std::int64_t>(at::elementSize(type));
  const std::int64_t wide = type == at::kDouble ? 8 : 4, kv = config.kv_heads * config.head_dim,
                     q = config.heads * config.head_dim, inputs = 2 * config.hidden_size * value;
  if (backend == SublayerBackend::torch) {
    // q, k, v; what the attention reads, after norm and rotation: v in place, or k and v of all heads; its output.
    const bool in_place = rows == RowPacking::single && config.heads == config.kv_heads;
    std::int64_t read = in_place ? 2 * q : 3 * q;
    if (rows == RowPacking::varlen) read = q + kv;
    const std::int64_t projected = q + 2 * kv, output = rows == RowPacking::multiple ? 2 * q : q;
    const std::int64_t norms = config.qk_norm ? 1 : 0;
    return {.inputs = inputs,
            .attention = (projected + read + output + 4 * rank) * value +
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

std::int64_t planned_bytes(const std::vector<LayerActivations>& plan, const ActivationBytes& each,
                           std::int64_t tokens) {
  std::int64_t of_token = 0;
  for (const LayerActivations& layer : plan) {
    of_token += each.inputs + (layer.attention == SavedActivations::all ? each.attention : 0);
    of_token += layer.mlp == SavedActivations::all ? each.mlp : 0;
  }
  return of_token * tokens;
}

std::int64_t layer_activation_bytes(const DecoderConfig& config, at::ScalarType type) {
  // Inputs of norms and projections (8 H), q, k, v before and after the rotation and as the kernel reads them, gate,
  // up, their product.
  const std::int64_t values = 8 * config.hidden_size + 3 * config.head_dim * (config.heads + 2 * config.kv_heads) +
                              4 * config.intermediate_size;
  return values * static_cast<std::int64_t>(at::elementSize(type));
}

std::int64_t layers_to_recompute(const DecoderConfig& config, at::ScalarType type, std::int64_t tokens,
                                 std::int64_t budget) {
  if (budget == 0) return 0;
  const std::int64_t whole = tokens * layer_activation_bytes(config, type);
  const std::int64_t saved = whole - tokens * config.hidden_size * static_cast<std::int64_t>(at::elementSize(type));
  const std::int64_t excess = config.layers * whole - budget;
  if (excess <= 0 || saved <= 0) return 0;
  return std::min(config.layers, (excess + saved - 1) / saved);
}

}  // namespace shine
