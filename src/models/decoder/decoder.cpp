#include "shine/models/decoder/decoder.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>

#include "keep_plan.h"
#include "layer_weights.h"
#include "prepared_layers.h"
#include "shine/common/error.h"
#include "shine/ops/cached_attention.h"
#include "shine/ops/checkpoint.h"
#include "shine/ops/linear_cross_entropy.h"
#include "shine/ops/lora_linear.h"
#include "shine/ops/rms_norm.h"
#include "shine/ops/swiglu.h"

namespace shine {

/// The cache that a batch of new tokens continues.
struct Decoder::CachedRows {
  KvCache& cache;
  std::optional<CachedAttentionPlan> plan;  ///< none: every row with new tokens begins with them
};

/// What every projection of a layer needs beside its input.
struct Decoder::LayerContext {
  const PreparedRows& rows;
  const RotaryTable& rotary;
  const LoraLayer* lora;
  const std::vector<std::int64_t>& spans;
  const CachedRows* cached = nullptr;
  std::int64_t layer = 0;  ///< in the cache
};

Decoder::Decoder(DecoderConfig config, DecoderOptions options)
    : config_(std::move(config)),
      options_(options),
      layers_(static_cast<std::size_t>(config_.layers)),
      prepared_(std::make_unique<PreparedLayers>()),
      softmax_size_(config_.vocab_size) {
  declare_parameters();
}

Decoder::~Decoder() = default;

void Decoder::declare_parameters() {
  const LoraSpec spec = config_.lora_spec();
  const std::int64_t hidden = config_.hidden_size;
  parameters_.add("model.embed_tokens.weight", {config_.vocab_size, hidden}, embedding_);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const std::string prefix = str("model.layers.", i, ".");
    parameters_.add(prefix + "input_layernorm.weight", {hidden}, layer.input_norm);
    for (const Projection p : kProjections) {
      const std::string name = str(prefix, p >= Projection::gate ? "mlp." : "self_attn.", name_of(p), "_proj.");
      Linear& linear = layer.projections[static_cast<std::size_t>(p)];
      parameters_.add(name + "weight", {spec[p].out, spec[p].in}, linear.weight);
      if (spec[p].has_bias) parameters_.add(name + "bias", {spec[p].out}, linear.bias);
    }
    if (config_.qk_norm) {
      parameters_.add(prefix + "self_attn.q_norm.weight", {config_.head_dim}, layer.q_norm);
      parameters_.add(prefix + "self_attn.k_norm.weight", {config_.head_dim}, layer.k_norm);
    }
    parameters_.add(prefix + "post_attention_layernorm.weight", {hidden}, layer.post_attention_norm);
  }
  parameters_.add("model.norm.weight", {hidden}, final_norm_);
  if (!config_.tied_embeddings) parameters_.add("lm_head.weight", {config_.vocab_size, hidden}, lm_head_);
}

at::Tensor Decoder::projection_norms() const {
  std::vector<at::Tensor> norms;
  for (const Layer& layer : layers_) {
    for (const Linear& linear : layer.projections) {
      norms.push_back(at::linalg_vector_norm(linear.weight.detach(), 2, {}, /*keepdim=*/false, at::kFloat));
    }
  }
  return at::stack(norms).view({config_.layers, -1}).to(at::kCPU, at::kDouble);
}

void Decoder::set_trained() {
  prepared_->clear();
  for (const ParameterSlot& slot : parameters_.slots()) slot.tensor->requires_grad_(true);
}

void Decoder::set_softmax_size(std::int64_t size) {
  SHINE_CHECK(size > 0 && size <= config_.vocab_size, ShapeError, "a softmax over ", size, " ids: the model has ",
              config_.vocab_size);
  softmax_size_ = size;
}

at::Tensor Decoder::embed(const TokenRows& rows) const {
  const at::Tensor& ids = rows.ids;
  const std::int64_t known = config_.vocab_size;
  const std::int64_t total = known + (new_token_rows_.defined() ? new_token_rows_.size(0) : 0);
  if (ids.numel() == 0) return at::empty({0, config_.hidden_size}, embedding_.options());
  const bool is_known = rows.lowest <= rows.highest;
  const std::int64_t lowest = is_known ? rows.lowest : ids.min().item<std::int64_t>(),
                     highest = is_known ? rows.highest : ids.max().item<std::int64_t>();
  SHINE_CHECK(lowest >= 0 && highest < total, ShapeError, "token id ", lowest < 0 ? lowest : highest,
              " has no embedding row: the model has ", total);
  if (highest < known) return at::embedding(embedding_, ids);
  const at::Tensor is_new = ids.ge(known);
  const at::Tensor where = is_new.nonzero().squeeze(1);
  const at::Tensor added = at::embedding(new_token_rows_, ids.index_select(0, where) - known);
  return at::embedding(embedding_, ids.masked_fill(is_new, 0)).index_copy(0, where, added.to(embedding_.scalar_type()));
}

at::Tensor Decoder::project(const Layer& layer, Projection projection, const at::Tensor& x,
                            const LayerContext& context) const {
  const Linear& linear = layer.projections[static_cast<std::size_t>(projection)];
  if (context.lora == nullptr) {
    return at::linear(x, linear.weight, linear.bias.defined() ? std::optional(linear.bias) : std::nullopt);
  }
  const LoraWeights& lora = (*context.lora)[projection];
  return lora_linear({x, linear.weight, linear.bias, lora.a, lora.b, lora.c, context.spans});
}

/// @param q, k, v  rotated; (N, heads, d) and twice (N, kv_heads, d)
at::Tensor Decoder::attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const LayerContext& context) const {
  const double scale = 1.0 / std::sqrt(static_cast<double>(config_.head_dim));
  if (context.cached != nullptr) {
    KvCache& cache = context.cached->cache;
    cache.append(context.layer, k, v);
    if (context.cached->plan) {
      return context.cached->plan->attend(q, cache.keys(context.layer), cache.values(context.layer), scale);
    }
  }
  return causal_attention(q, k, v, context.rows, scale);
}

at::Tensor Decoder::attention_block(const Layer& layer, const at::Tensor& x, const LayerContext& context) const {
  const std::int64_t tokens = x.size(0), d = config_.head_dim;
  const auto heads_of = [&](Projection projection, std::int64_t heads) {
    return project(layer, projection, x, context).view({tokens, heads, d});
  };
  const auto turned = [&](const at::Tensor& vectors, const at::Tensor& norm) {
    return norm.defined() ? norm_rotary(vectors, norm, context.rotary, config_.rms_norm_eps)
                          : rotary(vectors, context.rotary);
  };
  const at::Tensor mixed = attend(turned(heads_of(Projection::q, config_.heads), layer.q_norm),
                                  turned(heads_of(Projection::k, config_.kv_heads), layer.k_norm),
                                  heads_of(Projection::v, config_.kv_heads), context);
  return project(layer, Projection::o, mixed.reshape({tokens, config_.heads * d}), context);
}

at::Tensor Decoder::mlp_block(const Layer& layer, const at::Tensor& x, const LayerContext& context) const {
  const at::Tensor gate = project(layer, Projection::gate, x, context);
  return project(layer, Projection::down, swiglu(gate, project(layer, Projection::up, x, context)), context);
}

at::Tensor Decoder::run_layer(const Layer& layer, const at::Tensor& x, const LayerContext& context) const {
  const double eps = config_.rms_norm_eps;
  const AddedNorm middle = add_rms_norm(x, attention_block(layer, rms_norm(x, layer.input_norm, eps), context),
                                        layer.post_attention_norm, eps);
  return middle.sum + mlp_block(layer, middle.normed, context);
}

at::Tensor Decoder::run_layer_checkpointed(const Layer& layer, const at::Tensor& x, const LayerContext& context) const {
  std::vector<at::Tensor> inputs{x};
  for_each_weight(layer, [&](const at::Tensor& weight) { inputs.push_back(weight); });
  if (context.lora != nullptr) {
    for (const LoraWeights& weights : context.lora->projections) {
      inputs.insert(inputs.end(), {weights.a, weights.b, weights.c});
    }
  }
  // The backward runs after this call has returned: everything is captured by value.
  const auto again = [this, rows = context.rows, table = context.rotary,
                      spans = context.spans](const std::vector<at::Tensor>& in) {
    std::size_t next = 1;
    Layer weights;
    for_each_weight(weights, [&](at::Tensor& weight) { weight = in[next++]; });
    LoraLayer lora;
    const bool adapted = next < in.size();
    for (std::size_t p = 0; adapted && p < 7; ++p, next += 3) {
      lora.projections[p] = {in[next], in[next + 1], in[next + 2]};
    }
    return run_layer(weights, in[0], {rows, table, adapted ? &lora : nullptr, spans});
  };
  return checkpoint(again, std::move(inputs));
}

void Decoder::check_input(const at::Tensor& hidden, const RowLayout& rows, const LoraTree* lora) const {
  SHINE_CHECK(hidden.dim() == 2 && hidden.size(0) == rows.tokens() && hidden.size(1) == config_.hidden_size, ShapeError,
              "hidden states of shape ", hidden.sizes(), ": expected (", rows.tokens(), ", ", config_.hidden_size, ")");
  SHINE_CHECK(lora == nullptr || static_cast<std::int64_t>(lora->layers.size()) == config_.layers, ShapeError,
              "a LoRA of ", lora->layers.size(), " layers on a model of ", config_.layers);
}

at::Tensor Decoder::run_plain(at::Tensor hidden, const RowLayout& rows, const LoraTree* lora,
                              const at::Tensor* positions, const LayerVisitor& visitor) const {
  const RotaryTable table =
      make_rotary_table(rows.positions(hidden.device()), config_.head_dim, config_.rope_theta, hidden.scalar_type());
  const std::vector<std::int64_t> spans = lora ? rows.adapter_spans(lora->adapters()) : std::vector<std::int64_t>{};
  const PreparedRows attention =
      prepare_rows(rows, options_.attention, hidden.device(), hidden.scalar_type(), config_.head_dim);
  const std::int64_t recomputed =
      options_.recompute ? config_.layers
                         : plan_plain_layers(config_, options_.dtype, rows.tokens(), options_.activation_bytes);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerContext context{attention, table, lora ? &lora->layers[i] : nullptr, spans};
    const bool again = static_cast<std::int64_t>(i) < recomputed;
    hidden = again ? run_layer_checkpointed(layers_[i], hidden, context) : run_layer(layers_[i], hidden, context);
    if (positions != nullptr && i + 1 == layers_.size()) hidden = hidden.index_select(0, *positions);
    if (visitor) visitor(static_cast<std::int64_t>(i), hidden);
  }
  return hidden;
}

at::Tensor Decoder::run_layers(at::Tensor hidden, const RowLayout& rows, const LoraTree* lora,
                               const LayerVisitor& visitor) const {
  check_input(hidden, rows, lora);
  const auto by = engine();
  return by ? run_sublayers(*by, std::move(hidden), rows, lora, nullptr, visitor)
            : run_plain(std::move(hidden), rows, lora, nullptr, visitor);
}

at::Tensor Decoder::run_layers_at(at::Tensor hidden, const RowLayout& rows, const LoraTree* lora,
                                  const at::Tensor& positions, const LayerVisitor& visitor) const {
  check_input(hidden, rows, lora);
  const auto by = engine();
  return by ? run_sublayers(*by, std::move(hidden), rows, lora, &positions, visitor)
            : run_plain(std::move(hidden), rows, lora, &positions, visitor);
}

at::Tensor Decoder::forward(const TokenRows& rows, const LoraTree* lora) const {
  return rms_norm(run_layers(embed(rows), rows.layout, lora), final_norm_, config_.rms_norm_eps);
}

at::Tensor Decoder::forward_at(const TokenRows& rows, const LoraTree* lora, const at::Tensor& positions) const {
  return rms_norm(run_layers_at(embed(rows), rows.layout, lora, positions), final_norm_, config_.rms_norm_eps);
}

KvCache Decoder::make_cache(std::int64_t rows) const {
  return {config_, rows, at::TensorOptions().dtype(options_.dtype).device(options_.device)};
}

at::Tensor Decoder::forward(const TokenRows& added, const LoraTree* lora, KvCache& cache) const {
  const c10::InferenceMode inference;
  at::Tensor hidden = embed(added);
  check_input(hidden, added.layout, lora);
  cache.begin_append(added.layout);
  CachedRows cached{cache, std::nullopt};
  bool continued = false;
  for (std::int64_t row = 0; row < cache.rows(); ++row) {
    continued |= added.layout.length(row) > 0 && cache.lengths()[static_cast<std::size_t>(row)] > 0;
  }
  if (continued) {
    cached.plan.emplace(added.layout, cache.lengths(), config_.heads / config_.kv_heads, hidden.options());
  }
  const std::vector<std::int64_t> spans =
      lora ? added.layout.adapter_spans(lora->adapters()) : std::vector<std::int64_t>{};
  const PreparedRows attention = cached.plan ? PreparedRows{added.layout, {}, {}}  // which is not read
                                             : prepare_rows(added.layout, options_.attention, hidden.device(),
                                                            hidden.scalar_type(), config_.head_dim);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    hidden = run_layer(layers_[i], hidden,
                       {attention, cache.added_rotary(), lora ? &lora->layers[i] : nullptr, spans, &cached,
                        static_cast<std::int64_t>(i)});
  }
  cache.end_append();
  return rms_norm(hidden, final_norm_, config_.rms_norm_eps);
}

at::Tensor Decoder::head_weight() const {
  return (config_.tied_embeddings ? embedding_ : lm_head_).narrow(0, 0, softmax_size_);
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  return hidden.mm(head_weight().t());
}

at::Tensor Decoder::losses(const at::Tensor& hidden, const LabelledTokens& labelled) const {
  return losses_at(hidden.index_select(0, labelled.positions), labelled.targets);
}

at::Tensor Decoder::losses_at(const at::Tensor& hidden, const at::Tensor& targets) const {
  const at::Tensor weight = head_weight();
  return weight.requires_grad() ? linear_cross_entropy_plain(hidden, weight, targets)
                                : linear_cross_entropy(hidden, weight, targets);
}

}  // namespace shine
