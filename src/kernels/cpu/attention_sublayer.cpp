#include "kernels/cpu/attention_sublayer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "kernels/cpu/row_kernels.h"

namespace shine::cpu {
namespace {

template <class W>
const W* values_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? data<W>(tensor) : nullptr;
}

AttentionRows rows_of(const AttentionPass& pass) {
  const auto& [batch, chosen] = pass;
  if (chosen == nullptr) return {batch->rows, batch->rows, {}};
  AttentionRows rows{batch->rows, chosen->rows, {}};
  for (std::int64_t row = 0; row < chosen->rows.rows(); ++row) {
    const auto i = static_cast<std::size_t>(row);
    for (std::int64_t j = chosen->rows.starts[i]; j < chosen->rows.starts[i + 1]; ++j) {
      rows.positions.push_back(chosen->flat[static_cast<std::size_t>(j)] - batch->rows.starts[i]);
    }
  }
  return rows;
}

}  // namespace

template <class T>
AttentionSublayer<T>::AttentionSublayer(const Weights& weights, std::span<const LoraWeights> lora, at::ScalarType type,
                                        const Pass& pass)
    : weights_(weights),
      pass_(pass),
      type_(type),
      heads_{weights.heads, weights.kv_heads, weights.head_dim, 1.0 / std::sqrt(static_cast<double>(weights.head_dim))},
      in_(std::span(weights.linear).first(3), some_of(lora, 0, 3), type),
      out_(std::span(weights.linear).subspan(3), some_of(lora, 3, 1), type) {}

template <class T>
void AttentionSublayer<T>::project(const at::Tensor& x, Saved& saved) const {
  using W = Wide<T>;
  const std::int64_t tokens = x.size(0), hidden = x.size(1);
  const std::int64_t q_width = heads_.heads * heads_.d, kv_width = heads_.kv_heads * heads_.d, all = in_.out();
  saved.inverse = at::empty({tokens}, wide_type(type_));
  saved.q_raw = at::empty({tokens, q_width}, type_);
  saved.k_raw = at::empty({tokens, kv_width}, type_);
  saved.v = at::empty({tokens, kv_width}, type_);
  saved.down_in = at::empty({tokens, in_.rank()}, type_);
  const TokenPlan plan(tokens, pass_.batch->adapters.spans);
  plan.for_blocks([&](std::size_t segment, std::int64_t first, std::int64_t m) {
    Scratch scratch;
    T* normed = scratch.take<T>(m * hidden);
    W* wide = scratch.take<W>(padded_rows(m) * all);
    rms_norm_rows(m, hidden, data<T>(x) + first * hidden, data<W>(weights_.norm), weights_.eps, normed,
                  mutable_data<W>(saved.inverse) + first);
    in_.forward(plan.segments()[segment].adapter, m, normed, wide, mutable_data<T>(saved.down_in) + first * in_.rank());
    round_rows<T>(m, q_width, wide, all, mutable_data<T>(saved.q_raw) + first * q_width, q_width);
    round_rows<T>(m, kv_width, wide + q_width, all, mutable_data<T>(saved.k_raw) + first * kv_width, kv_width);
    round_rows<T>(m, kv_width, wide + q_width + kv_width, all, mutable_data<T>(saved.v) + first * kv_width, kv_width);
  });
}

template <class T>
typename AttentionSublayer<T>::Rotated AttentionSublayer<T>::rotate(const Saved& saved) const {
  using W = Wide<T>;
  const std::int64_t d = heads_.d, q_width = heads_.heads * d, kv_width = heads_.kv_heads * d;
  Rotated rotated{at::empty_like(saved.q_raw), at::empty_like(saved.k_raw)};
  const TokenPlan plan(saved.q_raw.size(0), pass_.batch->adapters.spans);
  plan.for_blocks([&](std::size_t, std::int64_t first, std::int64_t m) {
    const W *cos = data<W>(pass_.batch->cos) + first * (d / 2), *sin = data<W>(pass_.batch->sin) + first * (d / 2);
    head_norm_rope({m, heads_.heads, d}, data<T>(saved.q_raw) + first * q_width, values_or_null<W>(weights_.q_norm),
                   weights_.eps, cos, sin, mutable_data<T>(rotated.q) + first * q_width);
    head_norm_rope({m, heads_.kv_heads, d}, data<T>(saved.k_raw) + first * kv_width, values_or_null<W>(weights_.k_norm),
                   weights_.eps, cos, sin, mutable_data<T>(rotated.k) + first * kv_width);
  });
  if (pass_.chosen) rotated.q = rotated.q.index_select(0, pass_.chosen->positions);
  return rotated;
}

/// @param y  undefined: not wanted, and `residual` is not read
template <class T>
void AttentionSublayer<T>::project_out(const at::Tensor& residual, Saved& saved, const at::Tensor& y) const {
  using W = Wide<T>;
  const at::Tensor& attn_out = saved.attention.out;
  const std::int64_t tokens = attn_out.size(0), hidden = out_.out();
  saved.down_out = at::empty({tokens, out_.rank()}, type_);
  const TokenPlan plan(tokens, pass_.adapters_out().spans);
  plan.for_blocks([&](std::size_t segment, std::int64_t first, std::int64_t m) {
    Scratch scratch;
    W* wide = y.defined() ? scratch.take<W>(padded_rows(m) * hidden) : nullptr;
    out_.forward(plan.segments()[segment].adapter, m, data<T>(attn_out) + first * out_.in(), wide,
                 mutable_data<T>(saved.down_out) + first * out_.rank());
    if (y.defined()) {
      add_rows(m * hidden, data<T>(residual) + first * hidden, wide, mutable_data<T>(y) + first * hidden);
    }
  });
}

template <class T>
void AttentionSublayer<T>::attend(const at::Tensor& x, Saved& saved) const {
  project(x, saved);
  const Rotated rotated = rotate(saved);
  saved.attention = attention_forward(rotated.q, rotated.k, saved.v, rows_of(pass_), heads_);
}

template <class T>
at::Tensor AttentionSublayer<T>::forward(const at::Tensor& x, Saved& saved) const {
  attend(x, saved);
  const at::Tensor residual = pass_.chosen ? x.index_select(0, pass_.chosen->positions) : x;
  at::Tensor y = at::empty_like(residual);
  project_out(residual, saved, y);
  return y;
}

template <class T>
at::Tensor AttentionSublayer<T>::infer(const at::Tensor& x) const {
  Saved saved;
  return forward(x, saved);
}

template <class T>
void AttentionSublayer<T>::recompute(const at::Tensor& x, Saved& saved) const {
  attend(x, saved);
  project_out({}, saved, {});
}

template <class T>
SublayerGradients AttentionSublayer<T>::backward(const at::Tensor& dy, const at::Tensor& x, const Saved& saved,
                                                 WantedGradients wanted) {
  in_.prepare_backward();
  out_.prepare_backward();
  using W = Wide<T>;
  const std::int64_t hidden = x.size(1), d = heads_.d, attn_width = out_.in();
  const std::int64_t q_width = heads_.heads * d, kv_width = heads_.kv_heads * d, all = in_.out();
  const at::Tensor d_attn_out = at::empty({dy.size(0), attn_width}, type_);
  const TokenPlan out_plan(dy.size(0), pass_.adapters_out().spans);
  std::vector<GroupGradients> out_sums, in_sums;
  if (wanted.lora) out_sums = out_.make_gradients(out_plan);
  out_plan.for_blocks([&](std::size_t segment, std::int64_t first, std::int64_t m) {
    Scratch scratch;
    W* wide = scratch.take<W>(padded_rows(m) * attn_width);
    out_.backward(out_plan.segments()[segment].adapter, m, data<T>(dy) + first * hidden,
                  data<T>(saved.attention.out) + first * attn_width, data<T>(saved.down_out) + first * out_.rank(),
                  wide, out_sums.empty() ? nullptr : &out_sums[segment]);
    round_rows<T>(m, attn_width, wide, attn_width, mutable_data<T>(d_attn_out) + first * attn_width, attn_width);
  });
  AttentionGradients to;
  {
    const Rotated rotated = rotate(saved);
    to = attention_backward(d_attn_out, rotated.q, rotated.k, saved.v, saved.attention, rows_of(pass_), heads_);
  }
  at::Tensor residual = dy;
  if (pass_.chosen) {
    const at::Tensor index = pass_.chosen->positions;
    to.q = at::zeros({x.size(0), q_width}, type_).index_copy_(0, index, to.q);
    residual = at::zeros_like(x).index_copy_(0, index, dy);
  }
  const at::Tensor dx = wanted.x ? at::empty_like(x) : at::Tensor();
  T* dx_values = wanted.x ? mutable_data<T>(dx) : nullptr;
  const TokenPlan plan(x.size(0), pass_.batch->adapters.spans);
  if (wanted.lora) in_sums = in_.make_gradients(plan);
  plan.for_blocks([&](std::size_t segment, std::int64_t first, std::int64_t m) {
    Scratch scratch;
    T* dprojected = scratch.take<T>(m * all);
    T* normed = scratch.take<T>(m * hidden);
    W* dnormed = scratch.take<W>(padded_rows(m) * hidden);
    const W *cos = data<W>(pass_.batch->cos) + first * (d / 2), *sin = data<W>(pass_.batch->sin) + first * (d / 2);
    const T* x_rows = data<T>(x) + first * hidden;
    const W* inverse = data<W>(saved.inverse) + first;
    head_norm_rope_gradient({m, heads_.heads, d, all}, data<T>(saved.q_raw) + first * q_width,
                            values_or_null<W>(weights_.q_norm), weights_.eps, cos, sin, data<T>(to.q) + first * q_width,
                            dprojected);
    head_norm_rope_gradient({m, heads_.kv_heads, d, all}, data<T>(saved.k_raw) + first * kv_width,
                            values_or_null<W>(weights_.k_norm), weights_.eps, cos, sin,
                            data<T>(to.k) + first * kv_width, dprojected + q_width);
    copy_rows(m, kv_width, data<T>(to.v) + first * kv_width, kv_width, dprojected + q_width + kv_width, all);
    recompute_rms_norm(m, hidden, x_rows, data<W>(weights_.norm), inverse, normed);
    in_.backward(plan.segments()[segment].adapter, m, dprojected, normed, data<T>(saved.down_in) + first * in_.rank(),
                 wanted.x ? dnormed : nullptr, in_sums.empty() ? nullptr : &in_sums[segment]);
    if (wanted.x) {
      rms_norm_gradient(m, hidden, x_rows, data<W>(weights_.norm), inverse, dnormed, data<T>(residual) + first * hidden,
                        dx_values + first * hidden);
    }
  });
  if (!wanted.lora) return {dx, {}};
  SublayerGradients result{dx, in_.collect(plan, in_sums)};
  for (LoraWeights& lora : out_.collect(out_plan, out_sums)) result.lora.push_back(std::move(lora));
  return result;
}

template class AttentionSublayer<float>;
template class AttentionSublayer<Bf16>;
template class AttentionSublayer<double>;

}  // namespace shine::cpu
