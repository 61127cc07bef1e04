#include "shine/nn/encoder_layer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "ops/attention.h"
#include "ops/narrow_linear.h"

namespace shine {

void SelfAttentionImpl::reset() {
  const std::int64_t d = options.width;
  in_proj_weight = declare("in_proj_weight", {3 * d, d}, Decay::always);
  in_proj_bias = declare("in_proj_bias", {3 * d}, Decay::never);
  out_proj = register_module("out_proj", Linear(LinearImpl::Options{d, d, /*bias=*/true, options.compute}));
}

at::Tensor SelfAttentionImpl::forward(const at::Tensor& x, const at::Tensor& attn_mask) const {
  const std::int64_t batch = x.size(0), length = x.size(1), d = x.size(2), head = d / options.heads;
  const bool narrow = options.compute == at::kBFloat16 && x.scalar_type() == at::kFloat;
  at::Tensor qkv =
      narrow ? narrow_linear(x, in_proj_weight, in_proj_bias) : at::linear(x, in_proj_weight, in_proj_bias);
  qkv = qkv.view({batch, length, 3, options.heads, head}).permute({2, 0, 3, 1, 4});  // (3, B, heads, T, d / heads)
  if (narrow) qkv = qkv.to(at::kBFloat16);
  at::Tensor mask;
  if (attn_mask.defined()) {
    mask = at::zeros(attn_mask.sizes(), qkv.options())
               .masked_fill(attn_mask, -std::numeric_limits<double>::infinity());  // (T, T)
  }
  const AttentionOptions scaled{.scale = 1.0 / std::sqrt(static_cast<double>(head))};
  const at::Tensor attn_out = attention(qkv[0], qkv[1], qkv[2], mask, scaled);  // (B, heads, T, d / heads)
  return out_proj->forward(attn_out.transpose(1, 2).reshape({batch, length, d}).to(x.scalar_type()));
}

void SelfAttentionImpl::initialise(at::Generator& generator) {
  const at::NoGradGuard no_grad;
  const auto d = static_cast<double>(options.width);
  fill_uniform(in_proj_weight, std::sqrt(6.0 / (4.0 * d)), generator);
  in_proj_bias.zero_();
  fill_uniform(out_proj->weight, 1.0 / std::sqrt(d), generator);
  out_proj->bias.zero_();
}

void EncoderLayerImpl::reset() {
  const std::int64_t d = options.width, ff = options.feedforward;
  self_attn = register_module("self_attn", SelfAttention(options));
  linear1 = register_module("linear1", Linear(LinearImpl::Options{d, ff, /*bias=*/true, options.compute}));
  linear2 = register_module("linear2", Linear(LinearImpl::Options{ff, d, /*bias=*/true, options.compute}));
  norm1 = register_module("norm1", LayerNorm(d, options.layer_norm_eps));
  norm2 = register_module("norm2", LayerNorm(d, options.layer_norm_eps));
}

at::Tensor EncoderLayerImpl::forward(const at::Tensor& x, const at::Tensor& attn_mask) const {
  const at::Tensor h = norm1->forward(x + self_attn->forward(x, attn_mask));   // (B, T, d)
  return norm2->forward(h + linear2->forward(at::gelu(linear1->forward(h))));  // (B, T, d)
}

void EncoderLayerImpl::initialise(at::Generator& generator) {
  self_attn->initialise(generator);
  linear1->initialise(generator);
  linear2->initialise(generator);
  norm1->initialise();
  norm2->initialise();
}

}  // namespace shine
