// The layers by sub-layer functions: the fast form of Decoder::run_plain.
#include <ATen/ATen.h>

#include "keep_plan.h"
#include "prepared_layers.h"
#include "shine/ops/decoder_sublayers.h"
#include "shine/ops/fused.h"

namespace shine {
namespace {

/// The LoRAs of `count` projections from `first` on.
template <std::size_t count>
std::array<SublayerLora, count> lora_of(const LoraLayer& layer, Projection first) {
  std::array<SublayerLora, count> result;
  for (std::size_t i = 0; i < count; ++i) {
    const LoraWeights& weights = layer.projections[static_cast<std::size_t>(first) + i];
    result[i] = {weights.a, weights.b, weights.c};
  }
  return result;
}

/// Up to how many columns the product with all adapters side by side is hardly more work than one adapter's: a tile of
/// a GPU's matrix product is that wide.
constexpr std::int64_t kMaskedColumns = 64;

}  // namespace

std::optional<SublayerEngine> Decoder::engine() const {
  if (is_trained() || fused_ops() == FusedOps::off) return std::nullopt;
  if (options_.engine) return options_.engine;
  // The bf16 products of blocks take pairs of values along their inner dimension.
  const bool even = config_.hidden_size % 2 == 0 && config_.intermediate_size % 2 == 0;
  const bool blocks = blocks_run(options_.dtype, options_.device) && (even || options_.dtype != at::kBFloat16);
  return blocks ? SublayerEngine::blocks : SublayerEngine::operations;
}

void Decoder::prepare() const {
  if (const auto by = engine()) prepared_->get(layers_, config_, *by);
}

at::Tensor Decoder::run_sublayers(SublayerEngine by, at::Tensor hidden, const RowLayout& rows, const LoraTree* lora,
                                  const at::Tensor* positions, const LayerVisitor& visitor) const {
  const auto prepared = prepared_->get(layers_, config_, by);
  const std::vector<PreparedLayers::Layer>& layers = *prepared;
  const std::int64_t adapters = lora ? lora->adapters() : 0, rank = lora ? lora->rank() : 0;
  const bool masked = !options_.device.is_cpu() && adapters > 1 && adapters * rank <= kMaskedColumns;
  const auto batch = make_sublayer_batch(
      by, rows,
      {options_.dtype, options_.device, options_.attention, config_.head_dim, config_.rope_theta, adapters, masked});
  const auto chosen = positions == nullptr ? nullptr : choose_tokens(*batch, *positions);
  const std::vector<LayerKeep> keep =
      options_.recompute
          ? std::vector<LayerKeep>(layers.size(), {Keep::input, Keep::input})
          : plan_keep(layers.size(), kept_bytes(by, config_, options_.dtype, masked ? adapters * rank : rank),
                      rows.tokens(), options_.activation_bytes);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto& last = i + 1 == layers.size() ? chosen : nullptr;
    std::array<SublayerLora, 4> attention_lora;
    std::array<SublayerLora, 3> mlp_lora;
    if (lora != nullptr) {
      attention_lora = lora_of<4>(lora->layers[i], Projection::q);
      mlp_lora = lora_of<3>(lora->layers[i], Projection::gate);
    }
    hidden = attention_sublayer(layers[i].attention, hidden, lora ? &attention_lora : nullptr, batch, last,
                                keep[i].attention);
    hidden = mlp_sublayer(layers[i].mlp, hidden, lora ? &mlp_lora : nullptr, last ? last->adapters : batch->adapters,
                          keep[i].mlp);
    if (visitor) visitor(static_cast<std::int64_t>(i), hidden);
  }
  return hidden;
}

}  // namespace shine
