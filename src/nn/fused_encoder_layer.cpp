#include "nn/fused_encoder_layer.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "kernels/fused.h"
#include "ops/agreement.h"
#include "ops/encoder_sublayers.h"
#include "ops/recompute.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

/// S * I sequences along the second dimension, one after the other: (S, T, I, d) -> (S * I, T, d) -> (S, T, I, d).
at::Tensor readable_encoder_layer(const EncoderLayer& layer, const at::Tensor& x, const at::Tensor& attn_mask) {
  const std::int64_t outer = x.size(0), length = x.size(1), inner = x.size(2), d = x.size(3);
  const at::Tensor sequences = x.transpose(1, 2).reshape({outer * inner, length, d}).contiguous();
  return layer->forward(sequences, attn_mask).view({outer, inner, length, d}).transpose(1, 2);
}

/// On a small layer, with a mask; all its parameters too.
bool forms_of_encoder_layer_agree() {
  EncoderLayer layer(EncoderLayerOptions{.width = 8, .heads = 2, .feedforward = 12});
  allocate_parameters(*layer, at::kFloat);
  at::Generator generator = at::detail::createCPUGenerator(1);
  layer->initialise(generator);
  perturb_vectors(layer->parameters());
  const at::Tensor mask = at::ones({5, 5}, at::kBool).triu(1);
  return forms_agree(
      "encoder layer", [&](const FormInputs& in) { return readable_encoder_layer(layer, in[0], mask); },
      [&](const FormInputs& in) { return fused_encoder_layer(layer, in[0], mask); }, form_inputs({{2, 5, 2, 8}}, 3.0),
      layer->parameters());
}

bool fused_runs(const EncoderLayer& layer, const at::Tensor& x) {
  const EncoderLayerOptions& options = layer->options;
  if (!use_fused_forms() || !encoder_sublayers_run(x, options.heads, options.feedforward, options.compute))
    return false;
  static const bool agree = outside_inference_mode(forms_of_encoder_layer_agree);
  return agree && fused_encoder_layer_knows(options);
}

at::Tensor run(const EncoderLayer& layer, const at::Tensor& x, const at::Tensor& attn_mask) {
  const std::int64_t inner = x.dim() == 4 ? x.size(2) : 1;
  const at::Tensor sequences = x.reshape({x.size(0), x.size(1), inner, x.size(-1)});
  const at::Tensor y = fused_runs(layer, sequences) ? fused_encoder_layer(layer, sequences, attn_mask)
                                                    : readable_encoder_layer(layer, sequences, attn_mask);
  return y.reshape(x.sizes());
}

}  // namespace

bool fused_encoder_layer_knows(const EncoderLayerOptions& options) {
  const EncoderLayerOptions known{.width = options.width,
                                  .heads = options.heads,
                                  .feedforward = options.feedforward,
                                  .layer_norm_eps = options.layer_norm_eps,
                                  .compute = options.compute};
  if (options == known) return true;
  log_once(LogLevel::info, "the encoder layer has an option that its fused form does not know: the readable form runs");
  return false;
}

at::Tensor fused_encoder_layer(const EncoderLayer& layer, const at::Tensor& x, const at::Tensor& attn_mask) {
  const EncoderLayerOptions& options = layer->options;
  const SelfAttentionImpl& attention = *layer->self_attn;
  const at::Tensor h = encoder_attention_sublayer({.x = x,
                                                   .in_proj_weight = attention.in_proj_weight,
                                                   .in_proj_bias = attention.in_proj_bias,
                                                   .out_proj_weight = attention.out_proj->weight,
                                                   .out_proj_bias = attention.out_proj->bias,
                                                   .norm_weight = layer->norm1->weight,
                                                   .norm_bias = layer->norm1->bias,
                                                   .heads = options.heads,
                                                   .attn_mask = attn_mask,
                                                   .eps = options.layer_norm_eps,
                                                   .compute = options.compute});
  return encoder_feedforward_sublayer({.x = h,
                                       .linear1_weight = layer->linear1->weight,
                                       .linear1_bias = layer->linear1->bias,
                                       .linear2_weight = layer->linear2->weight,
                                       .linear2_bias = layer->linear2->bias,
                                       .norm_weight = layer->norm2->weight,
                                       .norm_bias = layer->norm2->bias,
                                       .eps = options.layer_norm_eps,
                                       .compute = options.compute});
}

at::Tensor run_encoder_layer(const EncoderLayer& layer, const at::Tensor& x, const at::Tensor& attn_mask,
                             bool recompute) {
  if (!recompute) return run(layer, x, attn_mask);
  return shine::recompute(
      [layer, attn_mask](const std::vector<at::Tensor>& in) { return run(layer, in[0], attn_mask); }, {x},
      layer->parameters());
}

}  // namespace shine
