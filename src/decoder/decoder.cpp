#include "shine/decoder/decoder.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/nn/modules/container/modulelist.h>

#include "decoder/activation_plan.h"
#include "decoder/appended_rows.h"
#include "decoder/fused_layers.h"
#include "kernels/torch/attention.h"
#include "ops/linear_cross_entropy.h"
#include "ops/recompute.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Groups what Hugging Face files name `model.*`.
class Group : public torch::nn::Module {};

/// The layer with its activations recomputed in the backward.
at::Tensor run_recomputed(const DecoderLayer& layer, const at::Tensor& x, const LoraLayer* lora,
                          const LayerPass& pass) {
  std::vector<at::Tensor> inputs{x};
  if (lora != nullptr) append_tensors(lora->projections, inputs);
  // The backward runs after this call has returned: everything is captured by value.
  const auto again = [layer, pass, adapted = lora != nullptr](const std::vector<at::Tensor>& in) {
    if (!adapted) return layer->forward(in[0], nullptr, pass);
    const LoraLayer given = lora_layer_of(std::span(in).subspan(1));
    return layer->forward(in[0], &given, pass);
  };
  return recompute(again, std::move(inputs), layer->parameters());
}

}  // namespace

Decoder::Decoder(DecoderConfig config, DecoderOptions options)
    : config_(std::move(config)),
      options_(options),
      fused_(std::make_unique<FusedLayers>()),
      softmax_size_(config_.vocab_size) {
  const auto model = register_module("model", std::make_shared<Group>());
  embed_tokens_ = model->register_module("embed_tokens", Embedding(config_.vocab_size, config_.hidden_size));
  const auto list = model->register_module("layers", torch::nn::ModuleList());
  for (std::int64_t i = 0; i < config_.layers; ++i) {
    layers_.emplace_back(config_, i);
    list->push_back(layers_.back());
  }
  norm_ = model->register_module("norm", RmsNorm(config_.hidden_size, config_.rms_norm_eps));
  if (!config_.tied_embeddings) {
    lm_head_ = register_module("lm_head",
                               Linear(LinearImpl::Options{config_.hidden_size, config_.vocab_size, /*bias=*/false}));
  }
  for (at::Tensor& parameter : parameters()) parameter.requires_grad_(false);
}

Decoder::~Decoder() = default;

void Decoder::set_trained() {
  fused_->clear();
  for (at::Tensor& parameter : parameters()) parameter.requires_grad_(true);
}

void Decoder::set_softmax_size(std::int64_t size) {
  SHINE_CHECK(size > 0 && size <= config_.vocab_size, ShapeError, "a softmax over ", size, " ids: the model has ",
              config_.vocab_size);
  softmax_size_ = size;
}

at::Tensor Decoder::embed(const TokenRows& rows) const {
  const at::Tensor &ids = rows.ids, &embedding = embed_tokens_->weight;
  const std::int64_t known = config_.vocab_size;
  const std::int64_t total = known + (new_token_rows_.defined() ? new_token_rows_.size(0) : 0);
  if (ids.numel() == 0) return at::empty({0, config_.hidden_size}, embedding.options().requires_grad(false));
  const bool is_known = rows.lowest <= rows.highest;
  const std::int64_t lowest = is_known ? rows.lowest : ids.min().item<std::int64_t>(),
                     highest = is_known ? rows.highest : ids.max().item<std::int64_t>();
  SHINE_CHECK(lowest >= 0 && highest < total, ShapeError, "token id ", lowest < 0 ? lowest : highest,
              " has no embedding row: the model has ", total);
  if (highest < known) return embed_tokens_->forward(ids);
  const at::Tensor is_new = ids.ge(known);
  // Both for every token, and one chosen: which ids are new is not read back from the device.
  const at::Tensor added = at::embedding(new_token_rows_, (ids - known).clamp_min(0)).to(embedding.scalar_type());
  return at::where(is_new.unsqueeze(1), added, embed_tokens_->forward(ids.masked_fill(is_new, 0)));
}

void Decoder::check_input(const at::Tensor& hidden, const RowLayout& rows, const LoraTree* lora) const {
  SHINE_CHECK(hidden.dim() == 2 && hidden.size(0) == rows.tokens() && hidden.size(1) == config_.hidden_size, ShapeError,
              "hidden states of shape ", hidden.sizes(), ": expected (", rows.tokens(), ", ", config_.hidden_size, ")");
  SHINE_CHECK(lora == nullptr || static_cast<std::int64_t>(lora->layers.size()) == config_.layers, ShapeError,
              "a LoRA of ", lora->layers.size(), " layers on a model of ", config_.layers);
  for (std::int64_t row = 0; row < rows.rows(); ++row) config_.check_row(rows.length(row));
}

at::Tensor Decoder::run_layers(at::Tensor hidden, const RowLayout& rows, const LoraTree* lora,
                               const at::Tensor& positions, const LayerVisitor& visitor) const {
  check_input(hidden, rows, lora);
  if (const auto backend = fused_backend(*this)) {
    return fused_->run(*this, *backend, std::move(hidden), rows, lora, positions, visitor);
  }
  const LayerPass pass{pack_rows(rows, options_.attention, hidden.device(), hidden.scalar_type(), config_.head_dim),
                       rope_table_of(config_, rows.positions(hidden.device()), hidden.scalar_type()),
                       lora ? rows.adapter_spans(lora->adapters()) : std::vector<std::int64_t>{}};
  return run_readable(std::move(hidden), lora, pass, positions, visitor);
}

at::Tensor Decoder::run_readable(at::Tensor hidden, const LoraTree* lora, const LayerPass& pass,
                                 const at::Tensor& positions, const LayerVisitor& visitor) const {
  const std::int64_t recomputed =
      pass.cached ? 0 : layers_to_recompute(config_, dtype(), hidden.size(0), options_.activation_limit());
  for (std::int64_t i = 0; i < config_.layers; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const LoraLayer* adapted = lora ? &lora->layers[index] : nullptr;
    hidden = i < recomputed ? run_recomputed(layers_[index], hidden, adapted, pass)
                            : layers_[index]->forward(hidden, adapted, pass);
    if (positions.defined() && i + 1 == config_.layers) hidden = hidden.index_select(0, positions);
    if (visitor) visitor(i, hidden);
  }
  return hidden;
}

at::Tensor Decoder::forward(const TokenRows& rows, const LoraTree* lora, const at::Tensor& positions) const {
  return norm_->forward(run_layers(embed(rows), rows.layout, lora, positions));
}

at::Tensor Decoder::forward(const TokenRows& added, const LoraTree* lora, const LayerPass& pass) const {
  return norm_->forward(run_readable(embed(added), lora, pass, {}, {}));
}

at::Tensor Decoder::forward(const TokenRows& added, const LoraTree* lora, KvCache& cache) const {
  const c10::InferenceMode inference;
  at::Tensor hidden = embed(added);
  check_input(hidden, added.layout, lora);
  AppendedRows appended(cache, added.layout, *this);
  const LayerPass pass{appended.rows(), cache.added_rope(),
                       lora ? added.layout.adapter_spans(lora->adapters()) : std::vector<std::int64_t>{}, &appended};
  hidden = run_readable(std::move(hidden), lora, pass, {}, {});
  cache.end_append();
  return norm_->forward(hidden);
}

at::Tensor Decoder::head_weight() const {
  return (config_.tied_embeddings ? embed_tokens_->weight : lm_head_->weight).narrow(0, 0, softmax_size_);
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  return hidden.mm(head_weight().t());
}

at::Tensor Decoder::losses(const at::Tensor& hidden, const at::Tensor& targets) const {
  return fused_loss_runs(*this) ? linear_cross_entropy(hidden, head_weight(), targets)
                                : cross_entropy(logits(hidden), targets);
}

at::Tensor Decoder::losses(const at::Tensor& hidden, const LabelledTokens& labelled) const {
  return losses(hidden.index_select(0, labelled.positions), labelled.targets);
}

void Decoder::prepare() const {
  if (const auto backend = fused_backend(*this)) fused_->prepare(*this, *backend);
}

KvCache make_cache(const Decoder& decoder, std::int64_t rows) {
  return {decoder.config(), rows, at::TensorOptions().dtype(decoder.dtype()).device(decoder.device())};
}

at::Tensor projection_norms(const Decoder& decoder) {
  std::vector<at::Tensor> norms;
  for (const DecoderLayer& layer : decoder.layers()) {
    for (const Projection p : kProjections) {
      norms.push_back(
          at::linalg_vector_norm(layer->projection(p)->weight.detach(), 2, {}, /*keepdim=*/false, at::kFloat));
    }
  }
  return at::stack(norms).view({decoder.config().layers, -1}).to(at::kCPU, at::kDouble);
}

}  // namespace shine
