#include "shine/decoder/decoder_layer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ops/attention.h"
#include "ops/rope.h"
#include "ops/swiglu.h"

namespace shine {
namespace {

const LoraWeights* lora_of(const LoraLayer* lora, Projection projection) {
  return lora == nullptr ? nullptr : &(*lora)[projection];
}

Linear linear_of(const DecoderConfig& config, Projection projection) {
  const ProjectionSpec spec = config.lora_spec()[projection];
  return Linear(LinearImpl::Options{spec.in, spec.out, spec.has_bias});
}

}  // namespace

void AttentionImpl::reset() {
  q_proj = register_module("q_proj", linear_of(config, Projection::q));
  k_proj = register_module("k_proj", linear_of(config, Projection::k));
  v_proj = register_module("v_proj", linear_of(config, Projection::v));
  o_proj = register_module("o_proj", linear_of(config, Projection::o));
  if (config.qk_norm_across_heads) {
    q_norm = register_module("q_norm", RmsNorm(config.heads * config.head_dim, config.rms_norm_eps));
    k_norm = register_module("k_norm", RmsNorm(config.kv_heads * config.head_dim, config.rms_norm_eps));
  } else if (config.qk_norm) {
    q_norm = register_module("q_norm", RmsNorm(config.head_dim, config.rms_norm_eps));
    k_norm = register_module("k_norm", RmsNorm(config.head_dim, config.rms_norm_eps));
  }
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const LoraLayer* lora, const LayerPass& pass) const {
  const std::int64_t n = x.size(0), d = config.head_dim;
  at::Tensor q = q_proj->forward(x, lora_of(lora, Projection::q), pass.spans);        // (N, heads * d)
  at::Tensor k = k_proj->forward(x, lora_of(lora, Projection::k), pass.spans);        // (N, kv_heads * d)
  const at::Tensor v = v_proj->forward(x, lora_of(lora, Projection::v), pass.spans);  // (N, kv_heads * d)
  if (config.qk_norm_across_heads) {
    q = q_norm->forward(q);
    k = k_norm->forward(k);
  }
  q = q.view({n, config.heads, d});
  k = k.view({n, config.kv_heads, d});
  if (config.qk_norm) {
    q = q_norm->forward(q);
    k = k_norm->forward(k);
  }
  if (config.rotates(layer)) {
    q = apply_rope(q, pass.rope);
    k = apply_rope(k, pass.rope);
  }
  const AttentionOptions options{.scale = 1.0 / std::sqrt(static_cast<double>(d))};
  const at::Tensor values = v.view({n, config.kv_heads, d});
  const at::Tensor attn_out = pass.cached != nullptr
                                  ? pass.cached->attend(layer, q, k, values, options)
                                  : causal_attention(q, k, values, pass.rows, options);  // (N, heads, d)
  return o_proj->forward(attn_out.reshape({n, config.heads * d}), lora_of(lora, Projection::o), pass.spans);
}

RopeTable rope_table_of(const DecoderConfig& model, const at::Tensor& positions, at::ScalarType type) {
  return make_rope_table(positions, model.head_dim, model.rope_theta, type, model.rope_scaling);
}

void MlpImpl::reset() {
  gate_proj = register_module("gate_proj", linear_of(config, Projection::gate));
  up_proj = register_module("up_proj", linear_of(config, Projection::up));
  down_proj = register_module("down_proj", linear_of(config, Projection::down));
}

at::Tensor MlpImpl::forward(const at::Tensor& x, const LoraLayer* lora, const LayerPass& pass) const {
  const at::Tensor gate = gate_proj->forward(x, lora_of(lora, Projection::gate), pass.spans);  // (N, intermediate)
  const at::Tensor up = up_proj->forward(x, lora_of(lora, Projection::up), pass.spans);        // (N, intermediate)
  return down_proj->forward(swiglu(gate, up), lora_of(lora, Projection::down), pass.spans);
}

void DecoderLayerImpl::reset() {
  self_attn = register_module("self_attn", Attention(config, index));
  mlp = register_module("mlp", Mlp(config));
  const auto norm = [this](const char* name) {
    return register_module(name, RmsNorm(config.hidden_size, config.rms_norm_eps));
  };
  if (!config.post_norm) input_layernorm = norm("input_layernorm");
  post_attention_layernorm = norm("post_attention_layernorm");
  if (config.post_norm) post_feedforward_layernorm = norm("post_feedforward_layernorm");
}

at::Tensor DecoderLayerImpl::forward(const at::Tensor& x, const LoraLayer* lora, const LayerPass& pass) const {
  if (config.post_norm) {
    const at::Tensor h = x + post_attention_layernorm->forward(self_attn->forward(x, lora, pass));
    return h + post_feedforward_layernorm->forward(mlp->forward(h, lora, pass));
  }
  const at::Tensor h = x + self_attn->forward(input_layernorm->forward(x), lora, pass);
  return h + mlp->forward(post_attention_layernorm->forward(h), lora, pass);
}

const Linear& DecoderLayerImpl::projection(Projection which) const {
  switch (which) {
    case Projection::q: return self_attn->q_proj;
    case Projection::k: return self_attn->k_proj;
    case Projection::v: return self_attn->v_proj;
    case Projection::o: return self_attn->o_proj;
    case Projection::gate: return mlp->gate_proj;
    case Projection::up: return mlp->up_proj;
    case Projection::down: break;
  }
  return mlp->down_proj;
}

}  // namespace shine
