// The layers by sub-layer functions: the fast form of Decoder::run_plain.
#include <ATen/ATen.h>

#include <algorithm>

#include "keep_plan.h"
#include "prepared_layers.h"
#include "shine/common/error.h"
#include "shine/ops/decoder_sublayers.h"
#include "shine/ops/rotary.h"

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

std::shared_ptr<const SublayerBatch> make_batch(const RowLayout& rows, const DecoderConfig& config, at::ScalarType type,
                                                const LoraTree* lora) {
  const auto wide = type == at::kDouble ? at::kDouble : at::kFloat;
  const RotaryTable table = make_rotary_table(rows.positions(at::kCPU), config.head_dim, config.rope_theta, wide);
  const auto first_half = [&config](const at::Tensor& both) {  // (N, 1, d) -> (N, d / 2)
    return both.squeeze(1).narrow(1, 0, config.head_dim / 2).contiguous();
  };
  SublayerBatch batch{rows, first_half(table.cos), first_half(table.sin), {}};
  if (lora != nullptr) batch.spans = rows.adapter_spans(lora->adapters());
  return std::make_shared<const SublayerBatch>(std::move(batch));
}

std::shared_ptr<const TokenChoice> choose(const at::Tensor& positions, const RowLayout& rows, const LoraTree* lora) {
  TokenChoice chosen;
  const at::Tensor flat = positions.contiguous();
  const auto* values = flat.const_data_ptr<std::int64_t>();
  chosen.flat.assign(values, values + flat.numel());
  auto next = chosen.flat.begin();
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    const auto end = std::lower_bound(next, chosen.flat.end(), rows.starts[static_cast<std::size_t>(row) + 1]);
    chosen.rows.push(end - next);
    next = end;
  }
  SHINE_CHECK(next == chosen.flat.end() && std::ranges::is_sorted(chosen.flat) &&
                  (chosen.flat.empty() || chosen.flat.front() >= 0),
              ShapeError, "positions of chosen tokens: expected to rise within ", rows.tokens(), " tokens");
  if (lora != nullptr) chosen.spans = chosen.rows.adapter_spans(lora->adapters());
  return std::make_shared<const TokenChoice>(std::move(chosen));
}

}  // namespace

bool Decoder::runs_sublayers() const {
  // The bf16 products take pairs of values along their inner dimension.
  const bool even = config_.hidden_size % 2 == 0 && config_.intermediate_size % 2 == 0;
  return sublayers_run(options_.dtype, options_.device) && (even || options_.dtype != at::kBFloat16) && !is_trained();
}

void Decoder::prepare() const {
  if (runs_sublayers()) prepared_->get(layers_, config_);
}

at::Tensor Decoder::run_sublayers(at::Tensor hidden, const RowLayout& rows, const LoraTree* lora,
                                  const at::Tensor* positions, const LayerVisitor& visitor) const {
  const auto prepared = prepared_->get(layers_, config_);
  const std::vector<PreparedLayers::Layer>& layers = *prepared;
  const auto batch = make_batch(rows, config_, options_.dtype, lora);
  const auto chosen = positions == nullptr ? nullptr : choose(*positions, rows, lora);
  const std::vector<LayerKeep> keep =
      options_.recompute
          ? std::vector<LayerKeep>(layers.size(), {Keep::input, Keep::input})
          : plan_keep(config_, options_.dtype, lora ? lora->rank() : 0, rows.tokens(), options_.activation_bytes);
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
    hidden =
        mlp_sublayer(layers[i].mlp, hidden, lora ? &mlp_lora : nullptr, last ? last->spans : batch->spans, keep[i].mlp);
    if (visitor) visitor(static_cast<std::int64_t>(i), hidden);
  }
  return hidden;
}

}  // namespace shine
