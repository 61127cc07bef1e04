#include "shine/nn/encoder_layer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "shine/ops/checkpoint.h"

namespace shine {
namespace {

constexpr double kLayerNormEps = 1e-5;

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::layer_norm(x, {x.size(-1)}, weight, bias, kLayerNormEps);
}

at::Tensor self_attention(const EncoderLayer& layer, const at::Tensor& x, const EncoderLayerOptions& options) {
  const std::int64_t batch = x.size(0), length = x.size(1), width = x.size(2), head = width / options.heads;
  const at::Tensor qkv = at::linear(x, layer.in_proj_weight, layer.in_proj_bias)
                             .view({batch, length, 3, options.heads, head})
                             .permute({2, 0, 3, 1, 4});  // (3, B, heads, T, d / heads)
  const double scale = 1.0 / std::sqrt(static_cast<double>(head));
  at::Tensor scores = at::matmul(qkv[0] * scale, qkv[1].transpose(-2, -1));  // (B, heads, T, T)
  if (options.hidden_pairs.defined()) {
    scores = scores.masked_fill(options.hidden_pairs, -std::numeric_limits<double>::infinity());
  }
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1), qkv[2]).transpose(1, 2).reshape({batch, length, width});
  return at::linear(mixed, layer.out_proj_weight, layer.out_proj_bias);
}

at::Tensor run(const EncoderLayer& layer, const at::Tensor& x, const EncoderLayerOptions& options) {
  const at::Tensor h = layer_norm(x + self_attention(layer, x, options), layer.norm1_weight, layer.norm1_bias);
  const at::Tensor inner = at::gelu(at::linear(h, layer.linear1_weight, layer.linear1_bias));
  return layer_norm(h + at::linear(inner, layer.linear2_weight, layer.linear2_bias), layer.norm2_weight,
                    layer.norm2_bias);
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
