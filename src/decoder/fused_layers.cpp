#include "decoder/fused_layers.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "decoder/activation_plan.h"
#include "kernels/fused.h"
#include "ops/agreement.h"
#include "ops/decoder_sublayers.h"
#include "ops/linear_cross_entropy.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"

namespace shine {
namespace {

/// Up to how many columns the product with all adapters side by side is hardly more work than one adapter's: a tile of
/// a GPU's matrix product is that wide.
constexpr std::int64_t kMaskedColumns = 64;

/// Of the values in the comparison of both forms. With 1, scores without q/k norms are so large that the softmax has
/// one weight near 1, and rounding alone parts the gradients of the forms by more than the tolerance.
constexpr double kLayerDeviation = 0.3;

std::uint32_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0 : static_cast<std::uint32_t>(tensor._version());
}

SublayerBackend best_backend(const DecoderConfig& config, at::ScalarType type, at::Device device) {
  // The bf16 products of the CPU backend take pairs of values along their inner dimension.
  const bool even = config.hidden_size % 2 == 0 && config.intermediate_size % 2 == 0;
  return cpu_backend_runs(type, device) && (even || type != at::kBFloat16) ? SublayerBackend::cpu
                                                                           : SublayerBackend::torch;
}

SublayerBackend backend_of(const Decoder& decoder) {
  return decoder.options().backend.value_or(best_backend(decoder.config(), decoder.dtype(), decoder.device()));
}

/// The same capabilities in small sizes.
DecoderConfig small_config(DecoderConfig config) {
  config.heads = config.heads > config.kv_heads ? 2 : 1;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.hidden_size = 16;
  config.intermediate_size = 12;
  config.layers = 3;
  config.vocab_size = 12;
  config.sliding_window = 0;  // a row that it would change is refused by both
  return config;
}

/// Random weights, norms and biases too. With larger values, here and in LoRAs, softmaxes without q/k norms saturate,
/// and float32 itself is off by more than the forms may differ.
std::unique_ptr<Decoder> small_decoder(const DecoderConfig& small, const DecoderOptions& options) {
  auto decoder = std::make_unique<Decoder>(small, options);
  initialise_decoder(*decoder, /*gain=*/1.0, /*seed=*/1);
  perturb_vectors(decoder->parameters());
  return decoder;
}

/// Layers of `small`, a small_config, by DecoderLayer::forward and by `backend`, for two rows with a LoRA each.
bool forms_of_layers_agree(const DecoderConfig& small, SublayerBackend backend) {
  const auto made = small_decoder(small, {.backend = backend});
  const Decoder& decoder = *made;
  const RowLayout rows{{0, 7, 12}};
  const LoraSpec spec = decoder.config().lora_spec();
  std::vector<std::vector<std::int64_t>> shapes{{rows.tokens(), decoder.config().hidden_size}};
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    for (const ProjectionSpec& p : spec.projections)
      shapes.insert(shapes.end(), {{2, p.in, 2}, {2, 2, p.out}, {2, p.out}});
  }
  const auto tree_of = [&](const FormInputs& in) {
    LoraTree tree;
    for (std::size_t first = 1; first < in.size(); first += 21) {
      tree.layers.push_back(lora_layer_of(std::span(in).subspan(first, 21)));
    }
    return tree;
  };
  FusedLayers fused;
  return forms_agree(
      "decoder layer",
      [&](const FormInputs& in) {
        const LoraTree tree = tree_of(in);
        return decoder.run_layers(in[0], rows, &tree);
      },
      [&](const FormInputs& in) {
        const LoraTree tree = tree_of(in);
        return fused.run(decoder, backend, in[0], rows, &tree, {}, {});
      },
      form_inputs(shapes, kLayerDeviation));
}

/// The loss of `small` by Decoder::logits and by linear_cross_entropy.
bool forms_of_loss_agree(const DecoderConfig& small) {
  const auto decoder = small_decoder(small, {});
  const at::Tensor targets = at::tensor({0, 11, 4}, at::kLong);
  return forms_agree(
      "loss", [&](const FormInputs& in) { return cross_entropy(decoder->logits(in[0]), targets); },
      [&](const FormInputs& in) { return linear_cross_entropy(in[0], decoder->head_weight(), targets); },
      form_inputs({{3, small.hidden_size}}, 3.0));
}

/// What was found equal or not in this process: the layers by a backend, or without one the loss.
bool agree_once(const DecoderConfig& small, std::optional<SublayerBackend> backend) {
  struct Compared {
    DecoderConfig small;
    std::optional<SublayerBackend> backend;
    bool agree;
  };
  static std::mutex mutex;
  static std::vector<Compared> compared;
  const std::scoped_lock lock(mutex);
  const auto found = std::ranges::find_if(
      compared, [&](const Compared& each) { return each.backend == backend && each.small == small; });
  if (found != compared.end()) return found->agree;
  const bool agree = outside_inference_mode(
      [&] { return backend ? forms_of_layers_agree(small, *backend) : forms_of_loss_agree(small); });
  compared.push_back({small, backend, agree});
  return agree;
}

/// Whether a fused form may stand in for any part of the decoder.
bool may_be_fused(const Decoder& decoder) {
  if (decoder.is_trained() || !use_fused_forms()) return false;
  if (fused_layers_know(decoder.config())) return true;
  log_once(LogLevel::info, str(decoder.config().model_type, ": the backbone has a capability that the fused decoder ",
                               "layer does not know; the readable layer runs"));
  return false;
}

}  // namespace

bool fused_layers_know(const DecoderConfig& config) {
  DecoderConfig known;
  known.hidden_size = config.hidden_size;
  known.intermediate_size = config.intermediate_size;
  known.layers = config.layers;
  known.heads = config.heads;
  known.kv_heads = config.kv_heads;
  known.head_dim = config.head_dim;
  known.rms_norm_eps = config.rms_norm_eps;
  known.rope_theta = config.rope_theta;
  known.rope_scaling = config.rope_scaling;
  known.qkv_bias = config.qkv_bias;
  known.o_bias = config.o_bias;
  known.mlp_bias = config.mlp_bias;
  known.qk_norm = config.qk_norm;
  // Not of the layers:
  known.model_type = config.model_type;
  known.vocab_size = config.vocab_size;
  known.max_positions = config.max_positions;
  known.sliding_window = config.sliding_window;
  known.tied_embeddings = config.tied_embeddings;
  return known == config;
}

std::optional<SublayerBackend> fused_layers_backend(const DecoderConfig& config, at::ScalarType type,
                                                    at::Device device) {
  if (!use_fused_forms() || !fused_layers_know(config)) return std::nullopt;
  return best_backend(config, type, device);
}

std::optional<SublayerBackend> fused_backend(const Decoder& decoder) {
  if (!may_be_fused(decoder)) return std::nullopt;
  const SublayerBackend backend = backend_of(decoder);
  return agree_once(small_config(decoder.config()), backend) ? std::optional(backend) : std::nullopt;
}

bool fused_loss_runs(const Decoder& decoder) {
  return may_be_fused(decoder) && agree_once(small_config(decoder.config()), std::nullopt);
}

at::Tensor FusedLayers::run(const Decoder& decoder, SublayerBackend backend, at::Tensor hidden, const RowLayout& rows,
                            const LoraTree* lora, const at::Tensor& positions, const Decoder::LayerVisitor& visitor) {
  const Layers shared = prepared(decoder, backend);
  const std::vector<Layer>& layers = *shared;
  const DecoderConfig& config = decoder.config();
  const DecoderOptions& options = decoder.options();
  const at::ScalarType type = decoder.dtype();
  const at::Device device = decoder.device();
  const std::int64_t adapters = lora ? lora->adapters() : 0, rank = lora ? lora->rank() : 0;
  const bool masked = !device.is_cpu() && adapters > 1 && adapters * rank <= kMaskedColumns;
  const auto batch = make_sublayer_batch(
      backend, rows,
      {type, device, options.attention, config.head_dim, config.rope_theta, adapters, masked, config.rope_scaling});
  const auto chosen = positions.defined() ? choose_tokens(*batch, positions) : nullptr;
  const ActivationBytes each =
      activation_bytes_of(backend, config, type, masked ? adapters * rank : rank, row_packing(batch->attention));
  const std::vector<LayerActivations> saved =
      plan_activations(layers.size(), each, rows.tokens(), options.activation_limit());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto& last = i + 1 == layers.size() ? chosen : nullptr;
    std::span<const LoraWeights> adapted;
    if (lora != nullptr) adapted = lora->layers[i].projections;
    hidden = attention_sublayer(layers[i].attention, hidden, some_of(adapted, 0, 4), batch, last, saved[i].attention);
    hidden = mlp_sublayer(layers[i].mlp, hidden, some_of(adapted, 4, 3), last ? last->adapters : batch->adapters,
                          saved[i].mlp);
    if (visitor) visitor(static_cast<std::int64_t>(i), hidden);
  }
  return hidden;
}

void FusedLayers::clear() {
  const std::scoped_lock lock(mutex_);
  stamps_.clear();
  layers_.reset();
}

FusedLayers::Layer FusedLayers::prepare_layer(const DecoderLayer& layer, const DecoderConfig& config,
                                              SublayerBackend backend) {
  const auto linear = [&](Projection p) {
    return prepare_linear(backend, layer->projection(p)->weight, layer->projection(p)->bias);
  };
  const auto norm = [&](const RmsNorm& module) {
    return module.is_empty() ? at::Tensor() : prepare_norm(backend, module->weight);
  };
  AttentionWeights attention;
  attention.backend = backend;
  attention.norm = norm(layer->input_layernorm);
  attention.q_norm = norm(layer->self_attn->q_norm);
  attention.k_norm = norm(layer->self_attn->k_norm);
  attention.linear = {linear(Projection::q), linear(Projection::k), linear(Projection::v), linear(Projection::o)};
  attention.heads = config.heads;
  attention.kv_heads = config.kv_heads;
  attention.head_dim = config.head_dim;
  attention.eps = config.rms_norm_eps;
  MlpWeights mlp;
  mlp.backend = backend;
  mlp.norm = norm(layer->post_attention_layernorm);
  mlp.linear = {linear(Projection::gate), linear(Projection::up), linear(Projection::down)};
  mlp.eps = config.rms_norm_eps;
  return {std::make_shared<const AttentionWeights>(std::move(attention)),
          std::make_shared<const MlpWeights>(std::move(mlp))};
}

bool FusedLayers::is_current() const {
  return layers_ != nullptr && std::ranges::all_of(stamps_, [](const Stamp& stamp) {
           return stamp.weight.const_data_ptr() == stamp.values.const_data_ptr() &&
                  version_of(stamp.weight) == stamp.version;
         });
}

FusedLayers::Layers FusedLayers::prepared(const Decoder& decoder, SublayerBackend backend) {
  const std::scoped_lock lock(mutex_);
  if (backend == backend_ && is_current()) return layers_;
  backend_ = backend;
  stamps_.clear();
  layers_.reset();
  std::vector<Layer> layers;
  for (const DecoderLayer& layer : decoder.layers()) {
    for (const at::Tensor& weight : layer->parameters()) {
      stamps_.push_back({weight, weight.detach(), version_of(weight)});
    }
    layers.push_back(prepare_layer(layer, decoder.config(), backend));
  }
  layers_ = std::make_shared<const std::vector<Layer>>(std::move(layers));
  return layers_;
}

}  // namespace shine
