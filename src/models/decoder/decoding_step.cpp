#include "shine/models/decoder/decoding_step.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/recorded_work.h"
#include "shine/common/error.h"
#include "shine/ops/rms_norm.h"
#include "shine/ops/swiglu.h"

namespace shine {

DecodingStep::DecodingStep(const Decoder& decoder, const LoraTree* lora, KvCache& cache, bool record)
    : decoder_(decoder), cache_(cache), record_(record) {
  const c10::InferenceMode inference;
  const at::Device device = decoder.options_.device;
  input_ = at::zeros({2, cache.rows()}, at::TensorOptions().dtype(at::kLong).device(device));
  logits_ = at::zeros({cache.rows(), decoder.softmax_size()},
                      at::TensorOptions().dtype(decoder.options_.dtype).device(device));
  if (lora == nullptr) return;
  SHINE_CHECK(static_cast<std::int64_t>(lora->layers.size()) == decoder.config_.layers && lora->adapters() > 0 &&
                  cache.rows() % lora->adapters() == 0,
              ShapeError, "decoding step: ", lora->adapters(), " LoRAs of ", lora->layers.size(), " layers for ",
              cache.rows(), " rows of a model of ", decoder.config_.layers);
  for (const LoraLayer& layer : lora->layers) {
    maps_.push_back({stack(layer, {Projection::q, Projection::k, Projection::v}), stack(layer, {Projection::o}),
                     stack(layer, {Projection::gate, Projection::up}), stack(layer, {Projection::down})});
  }
}

DecodingStep::~DecodingStep() = default;

DecodingStep::Maps DecodingStep::stack(const LoraLayer& layer, std::initializer_list<Projection> projections) const {
  const auto options = logits_.options();
  Maps maps;
  std::vector<at::Tensor> parts;
  for (const Projection p : projections) {
    const LoraWeights& weights = layer[p];
    parts.push_back(weights.a.detach().to(options));
    maps.b.push_back(weights.b.detach().to(options).contiguous());
    maps.c.push_back(weights.c.defined() ? weights.c.detach().to(options).unsqueeze(1) : at::Tensor());
  }
  maps.a = at::cat(parts, 2);
  return maps;
}

at::Tensor DecodingStep::run(const std::vector<std::int64_t>& ids, const std::vector<bool>& active) {
  const c10::InferenceMode inference;
  const auto rows = static_cast<std::size_t>(cache_.rows());
  const std::vector<std::int64_t>& lengths = cache_.lengths();
  const std::int64_t longest = *std::ranges::max_element(lengths);
  SHINE_CHECK(ids.size() == rows && active.size() == rows && longest < cache_.capacity(), ShapeError,
              "decoding step: ", ids.size(), " ids for ", rows, " rows of up to ", longest, " tokens, with places for ",
              cache_.capacity());
  const std::int64_t window =
      std::min((longest / window_step + 1) * window_step, cache_.capacity());  // the new token's place is inside
  if (window > window_ || cache_.capacity() != capacity_ || !work_) prepare(window);
  const at::Tensor given = at::empty({2, cache_.rows()}, at::kLong);
  std::ranges::copy(ids, given.mutable_data_ptr<std::int64_t>());
  std::ranges::copy(lengths, given.mutable_data_ptr<std::int64_t>() + rows);
  input_.copy_(given, /*non_blocking=*/true);
  work_->run();
  for (std::size_t row = 0; row < rows; ++row) {
    if (active[row]) cache_.count_appended(static_cast<std::int64_t>(row));
  }
  return logits_;
}

void DecodingStep::prepare(std::int64_t window) {
  window_ = window;
  capacity_ = cache_.capacity();
  work_ = std::make_unique<RecordedWork>(std::vector<RecordedWork::Part>{[this] { compute(); }},
                                         decoder_.options_.device, record_);
}

/// x W^T + (x A) B + bias + C for the maps of one input; consecutive rows share an adapter.
std::vector<at::Tensor> DecodingStep::project(std::size_t layer, const Maps* maps,
                                              std::initializer_list<Projection> projections,
                                              const at::Tensor& x) const {
  at::Tensor down;  // (B_l, rows each, K)
  if (maps != nullptr) down = x.view({maps->a.size(0), -1, x.size(1)}).bmm(maps->a);
  std::vector<at::Tensor> outputs;
  std::int64_t column = 0;
  std::size_t map = 0;
  for (const Projection p : projections) {
    const Decoder::Linear& linear = decoder_.layers_[layer].projections[static_cast<std::size_t>(p)];
    const at::Tensor y =
        at::linear(x, linear.weight, linear.bias.defined() ? std::optional(linear.bias) : std::nullopt);
    if (maps != nullptr) {
      const at::Tensor &b = maps->b[map], &c = maps->c[map];
      at::Tensor out = y.view({b.size(0), -1, b.size(2)});
      out.baddbmm_(down.narrow(2, column, b.size(1)), b);
      if (c.defined()) out.add_(c);
      column += b.size(1);
      ++map;
    }
    outputs.push_back(y);
  }
  return outputs;
}

/// @param q     (R, heads, d), rotated
/// @param mask  (R, 1, 1, window), added to the scores
at::Tensor DecodingStep::attend(std::size_t layer, const at::Tensor& q, const at::Tensor& mask) const {
  const DecoderConfig& config = decoder_.config_;
  const std::int64_t group = config.heads / config.kv_heads, d = config.head_dim;
  const auto index = static_cast<std::int64_t>(layer);
  const at::Tensor queries = q.view({q.size(0), config.kv_heads, group, d});
  const at::Tensor mixed = at::scaled_dot_product_attention(
      queries, cache_.keys(index).narrow(2, 0, window_), cache_.values(index).narrow(2, 0, window_),
      mask.expand({-1, config.kv_heads, group, -1}), /*dropout_p=*/0.0, /*is_causal=*/false,
      1.0 / std::sqrt(static_cast<double>(d)));
  return mixed.reshape({q.size(0), config.heads * d});
}

void DecodingStep::compute() {
  const DecoderConfig& config = decoder_.config_;
  const std::int64_t rows = cache_.rows(), d = config.head_dim;
  const double eps = config.rms_norm_eps;
  const at::Tensor ids = input_[0], places = input_[1];
  const RotaryTable table{cache_.rotary().cos.index_select(0, places), cache_.rotary().sin.index_select(0, places)};
  // (R * kv_heads): each row's and head's next place in (R * kv_heads * capacity).
  const at::Tensor slots =
      (at::arange(rows * config.kv_heads, places.options()).view({rows, -1}) * capacity_ + places.unsqueeze(1))
          .flatten();
  const at::Tensor hidden_places = at::arange(window_, places.options()).unsqueeze(0) > places.unsqueeze(1);
  const at::Tensor mask = at::zeros({rows, window_}, logits_.options())
                              .masked_fill_(hidden_places, -std::numeric_limits<double>::infinity())
                              .view({rows, 1, 1, window_});
  at::Tensor hidden = at::embedding(decoder_.embedding_, ids);
  at::Tensor normed = rms_norm(hidden, decoder_.layers_[0].input_norm, eps);
  for (std::size_t i = 0; i < decoder_.layers_.size(); ++i) {
    const Decoder::Layer& layer = decoder_.layers_[i];
    const LayerMaps* maps = maps_.empty() ? nullptr : &maps_[i];
    const auto qkv = project(i, maps ? &maps->qkv : nullptr, {Projection::q, Projection::k, Projection::v}, normed);
    const auto turned = [&](const at::Tensor& x, const at::Tensor& weight) {
      const at::Tensor heads = x.view({rows, -1, d});
      return weight.defined() ? norm_rotary(heads, weight, table, eps) : rotary(heads, table);
    };
    const auto put = [&](const at::Tensor& all, const at::Tensor& added) {
      all.view({-1, d}).index_copy_(0, slots, added.reshape({-1, d}));
    };
    put(cache_.keys(static_cast<std::int64_t>(i)), turned(qkv[1], layer.k_norm));
    put(cache_.values(static_cast<std::int64_t>(i)), qkv[2]);
    const at::Tensor mixed = attend(i, turned(qkv[0], layer.q_norm), mask);
    const at::Tensor attention = project(i, maps ? &maps->o : nullptr, {Projection::o}, mixed)[0];
    const AddedNorm middle = add_rms_norm(hidden, attention, layer.post_attention_norm, eps);
    const auto inner = project(i, maps ? &maps->gate_up : nullptr, {Projection::gate, Projection::up}, middle.normed);
    const at::Tensor out = project(i, maps ? &maps->down : nullptr, {Projection::down}, swiglu(inner[0], inner[1]))[0];
    const bool last = i + 1 == decoder_.layers_.size();
    const AddedNorm next =
        add_rms_norm(middle.sum, out, last ? decoder_.final_norm_ : decoder_.layers_[i + 1].input_norm, eps);
    hidden = next.sum;
    normed = next.normed;
  }
  at::mm_out(logits_, normed, decoder_.head_weight().t());
}

}  // namespace shine
