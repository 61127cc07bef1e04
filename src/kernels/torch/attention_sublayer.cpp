#include "kernels/torch/attention_sublayer.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "kernels/torch/rms_norm.h"
#include "kernels/torch/rope.h"

namespace shine::torch_kernels {
namespace {

/// The rows of the chosen tokens.
at::Tensor pick(const at::Tensor& x, const std::shared_ptr<const TokenChoice>& chosen) {
  return chosen == nullptr ? x : x.index_select(0, chosen->positions);
}

/// Back to (N, ..), zero elsewhere.
at::Tensor spread(const at::Tensor& x, const std::shared_ptr<const TokenChoice>& chosen, std::int64_t tokens) {
  if (chosen == nullptr) return x;
  return at::zeros({tokens, x.size(1)}, x.options()).index_copy_(0, chosen->positions, x);
}

/// Of q, k and v, each (N, heads * d).
std::array<at::Tensor, 3> gradients_of_heads(const AttentionSublayer::Saved& saved, const at::Tensor& d_attn_out) {
  const std::array<at::Tensor, 3> heads{saved.q, saved.k, saved.v};
  const auto found = torch::autograd::grad({saved.attn_out}, {heads.begin(), heads.end()}, {d_attn_out},
                                           /*retain_graph=*/std::nullopt, /*create_graph=*/false,
                                           /*allow_unused=*/true);  // no tokens, no attention
  std::array<at::Tensor, 3> flat;
  for (std::size_t i = 0; i < 3; ++i) {
    const at::Tensor& each = heads[i];
    flat[i] =
        (found[i].defined() ? found[i] : at::zeros_like(each)).reshape({each.size(0), each.size(1) * each.size(2)});
  }
  return flat;
}

}  // namespace

AttentionSublayer::AttentionSublayer(const Weights& weights, std::span<const LoraWeights> lora, at::ScalarType type,
                                     const Pass& pass)
    : weights_(weights),
      pass_(pass),
      in_(std::span(weights.linear).first(3), some_of(lora, 0, 3), type, pass.batch->adapters.mask.defined()),
      out_(std::span(weights.linear).subspan(3), some_of(lora, 3, 1), type, pass.adapters_out().mask.defined()) {}

void AttentionSublayer::project(const at::Tensor& x, Saved& saved) const {
  const TokenAdapters& adapters = pass_.batch->adapters;
  const at::Tensor normed = rms_norm_values(x, weights_.norm, weights_.eps).y;
  saved.reduced_in = in_.reduce(normed, adapters);
  const auto heads = [&](std::size_t map, std::int64_t count) {
    return in_.apply(map, normed, saved.reduced_in, adapters, /*residual=*/{})
        .view({x.size(0), count, weights_.head_dim});
  };
  saved.q = heads(0, weights_.heads);
  saved.k = heads(1, weights_.kv_heads);
  saved.v = heads(2, weights_.kv_heads);
}

at::Tensor AttentionSublayer::attend(const Saved& saved) const {
  const SublayerBatch& batch = *pass_.batch;
  const auto rotated = [&](const at::Tensor& y, const at::Tensor& norm) {
    return norm.defined() ? norm_rope(y, norm, batch.rope, weights_.eps) : apply_rope(y, batch.rope);
  };
  const double scale = 1.0 / std::sqrt(static_cast<double>(weights_.head_dim));
  return causal_attention(rotated(saved.q, weights_.q_norm), rotated(saved.k, weights_.k_norm), saved.v,
                          batch.attention, scale)
      .reshape({saved.q.size(0), weights_.heads * weights_.head_dim});
}

void AttentionSublayer::attend_with_graph(Saved& saved) const {
  const at::AutoGradMode with_gradient(true);
  for (at::Tensor* each : {&saved.q, &saved.k, &saved.v}) *each = each->detach().requires_grad_(true);
  saved.attn_out = attend(saved);
}

at::Tensor AttentionSublayer::finish(const at::Tensor& x, Saved& saved) const {
  const at::Tensor attn_out = pick(saved.attn_out.detach(), pass_.chosen);
  saved.reduced_out = out_.reduce(attn_out, pass_.adapters_out());
  return out_.apply(0, attn_out, saved.reduced_out, pass_.adapters_out(), pick(x, pass_.chosen));
}

at::Tensor AttentionSublayer::forward(const at::Tensor& x, Saved& saved) const {
  project(x, saved);
  attend_with_graph(saved);
  return finish(x, saved);
}

at::Tensor AttentionSublayer::infer(const at::Tensor& x) const {
  Saved saved;
  project(x, saved);
  saved.attn_out = attend(saved);
  return finish(x, saved);
}

void AttentionSublayer::recompute(const at::Tensor& x, Saved& saved) const {
  project(x, saved);
  attend_with_graph(saved);
  saved.reduced_out = out_.reduce(pick(saved.attn_out.detach(), pass_.chosen), pass_.adapters_out());
}

SublayerGradients AttentionSublayer::backward(const at::Tensor& dy, const at::Tensor& x, const Saved& saved,
                                              WantedGradients wanted) const {
  const std::int64_t tokens = x.size(0);
  SublayerGradients out = out_.backward({&dy, 1}, pick(saved.attn_out.detach(), pass_.chosen), saved.reduced_out,
                                        pass_.adapters_out(), {.lora = wanted.lora});
  const std::array<at::Tensor, 3> inner = gradients_of_heads(saved, spread(out.x, pass_.chosen, tokens));
  const auto [normed, inverse] = rms_norm_values(x, weights_.norm, weights_.eps);
  SublayerGradients found = in_.backward(inner, normed, saved.reduced_in, pass_.batch->adapters, wanted);
  found.lora.insert(found.lora.end(), out.lora.begin(), out.lora.end());
  if (wanted.x) found.x = rms_norm_gradient(found.x, x, weights_.norm, inverse, spread(dy, pass_.chosen, tokens));
  return found;
}

}  // namespace shine::torch_kernels
