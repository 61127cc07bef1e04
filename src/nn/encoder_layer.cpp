#include "shine/nn/encoder_layer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "shine/ops/checkpoint.h"
#include "shine/ops/encoder_sublayers.h"
#include "shine/ops/fused.h"

namespace shine {
namespace {

constexpr double kLayerNormEps = 1e-5;

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::layer_norm(x, {x.size(-1)}, weight, bias, kLayerNormEps);
}

/// Whether products are made of narrower operands than x has: float64 serves checks and stays what it is.
bool rounds(at::ScalarType compute, const at::Tensor& x) {
  return compute == at::kBFloat16 && x.scalar_type() == at::kFloat;
}

at::Tensor self_attention(const EncoderLayer& layer, const at::Tensor& x, const EncoderLayerOptions& options) {
  const std::int64_t batch = x.size(0), length = x.size(1), width = x.size(2), head = width / options.heads;
  const at::Tensor qkv = linear_in(options.compute, x, layer.in_proj_weight, layer.in_proj_bias)
                             .view({batch, length, 3, options.heads, head})
                             .permute({2, 0, 3, 1, 4});  // (3, B, heads, T, d / heads)
  if (rounds(options.compute, x)) {
    const at::Tensor narrow = qkv.to(options.compute);
    std::optional<at::Tensor> visible;
    if (options.hidden_pairs.defined()) visible = options.hidden_pairs.logical_not();
    const at::Tensor mixed = at::scaled_dot_product_attention(narrow[0], narrow[1], narrow[2], visible);
    return linear_in(options.compute, mixed.transpose(1, 2).reshape({batch, length, width}).to(x.scalar_type()),
                     layer.out_proj_weight, layer.out_proj_bias);
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(head));
  at::Tensor scores = at::matmul(qkv[0] * scale, qkv[1].transpose(-2, -1));  // (B, heads, T, T)
  if (options.hidden_pairs.defined()) {
    scores = scores.masked_fill(options.hidden_pairs, -std::numeric_limits<double>::infinity());
  }
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1), qkv[2]).transpose(1, 2).reshape({batch, length, width});
  return at::linear(mixed, layer.out_proj_weight, layer.out_proj_bias);
}

at::Tensor run_plain(const EncoderLayer& layer, const at::Tensor& x, const EncoderLayerOptions& options) {
  const at::Tensor h = layer_norm(x + self_attention(layer, x, options), layer.norm1_weight, layer.norm1_bias);
  const at::Tensor inner = at::gelu(linear_in(options.compute, h, layer.linear1_weight, layer.linear1_bias));
  return layer_norm(h + linear_in(options.compute, inner, layer.linear2_weight, layer.linear2_bias), layer.norm2_weight,
                    layer.norm2_bias);
}

at::Tensor run_fused(const EncoderLayer& layer, const at::Tensor& x, const EncoderLayerOptions& options) {
  const at::Tensor h = encoder_attention_sublayer(
      {x, layer.in_proj_weight, layer.in_proj_bias, layer.out_proj_weight, layer.out_proj_bias, layer.norm1_weight,
       layer.norm1_bias, options.heads, options.hidden_pairs, kLayerNormEps, options.compute});
  return encoder_feedforward_sublayer({h, layer.linear1_weight, layer.linear1_bias, layer.linear2_weight,
                                       layer.linear2_bias, layer.norm2_weight, layer.norm2_bias, kLayerNormEps,
                                       options.compute});
}

/// x is (B, T, d) or (S, T, I, d).
at::Tensor run(const EncoderLayer& layer, const at::Tensor& x, const EncoderLayerOptions& options) {
  const std::int64_t outer = x.size(0), length = x.size(1), width = x.size(-1), inner = x.dim() == 4 ? x.size(2) : 1;
  if (use_cpu_engine() && encoder_sublayers_run(x, options.heads, layer.linear1_weight.size(0), options.compute)) {
    return run_fused(layer, x.reshape({outer, length, inner, width}), options).view(x.sizes());
  }
  if (inner == 1) return run_plain(layer, x.reshape({outer, length, width}), options).view(x.sizes());
  const at::Tensor columns = x.transpose(1, 2).reshape({outer * inner, length, width});
  return run_plain(layer, columns, options).view({outer, inner, length, width}).transpose(1, 2);
}

}  // namespace

void EncoderLayer::declare(ParameterList& list, const std::string& prefix, std::int64_t width,
                           std::int64_t feedforward) {
  list.add(prefix + "self_attn.in_proj_weight", {3 * width, width}, in_proj_weight);
  list.add(prefix + "self_attn.in_proj_bias", {3 * width}, in_proj_bias);
  list.add(prefix + "self_attn.out_proj.weight", {width, width}, out_proj_weight);
  list.add(prefix + "self_attn.out_proj.bias", {width}, out_proj_bias);
  list.add(prefix + "linear1.weight", {feedforward, width}, linear1_weight);
  list.add(prefix + "linear1.bias", {feedforward}, linear1_bias);
  list.add(prefix + "linear2.weight", {width, feedforward}, linear2_weight);
  list.add(prefix + "linear2.bias", {width}, linear2_bias);
  list.add(prefix + "norm1.weight", {width}, norm1_weight);
  list.add(prefix + "norm1.bias", {width}, norm1_bias);
  list.add(prefix + "norm2.weight", {width}, norm2_weight);
  list.add(prefix + "norm2.bias", {width}, norm2_bias);
}

at::Tensor linear_in(at::ScalarType compute, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<at::Tensor> term = bias.defined() ? std::optional(bias) : std::nullopt;
  if (!rounds(compute, x)) return at::linear(x, weight, term);
  const at::Tensor product = at::linear(x.to(compute), weight.to(compute)).to(x.scalar_type());
  return term ? product + *term : product;
}

void fill_uniform(const at::Tensor& tensor, double bound, at::Generator& generator) {
  tensor.copy_(at::empty(tensor.sizes(), at::TensorOptions().dtype(at::kFloat)).uniform_(-bound, bound, generator));
}

void EncoderLayer::initialise(at::Generator& generator) const {
  const auto by_fan_in = [&](const at::Tensor& weight, const at::Tensor& bias) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(weight.size(1)));
    fill_uniform(weight, bound, generator);
    if (bias.defined()) fill_uniform(bias, bound, generator);
  };
  const auto fans = static_cast<double>(in_proj_weight.size(0) + in_proj_weight.size(1));
  fill_uniform(in_proj_weight, std::sqrt(6.0 / fans), generator);
  by_fan_in(out_proj_weight, {});
  by_fan_in(linear1_weight, linear1_bias);
  by_fan_in(linear2_weight, linear2_bias);
  for (const at::Tensor& zero : {in_proj_bias, out_proj_bias, norm1_bias, norm2_bias}) zero.zero_();
  for (const at::Tensor& one : {norm1_weight, norm2_weight}) one.fill_(1.0);
}

at::Tensor run_encoder_layer(const EncoderLayer& layer, const at::Tensor& x, const EncoderLayerOptions& options) {
  if (!options.recompute) return run(layer, x, options);
  const auto again = [options](const std::vector<at::Tensor>& in) {
    return run({in[1], in[2], in[3], in[4], in[5], in[6], in[7], in[8], in[9], in[10], in[11], in[12]}, in[0], options);
  };
  return checkpoint(again, {x, layer.in_proj_weight, layer.in_proj_bias, layer.out_proj_weight, layer.out_proj_bias,
                            layer.linear1_weight, layer.linear1_bias, layer.linear2_weight, layer.linear2_bias,
                            layer.norm1_weight, layer.norm1_bias, layer.norm2_weight, layer.norm2_bias});
}

}  // namespace shine
