#include "kernels/cpu/mlp_sublayer.h"

#include <ATen/ATen.h>

#include "kernels/cpu/row_kernels.h"

namespace shine::cpu {

template <class T>
MlpSublayer<T>::MlpSublayer(const Weights& weights, std::span<const LoraWeights> lora, at::ScalarType type,
                            const Pass& adapters)
    : weights_(weights),
      adapters_(adapters),
      type_(type),
      in_(std::span(weights.linear).first(2), some_of(lora, 0, 2), type),
      out_(std::span(weights.linear).subspan(2), some_of(lora, 2, 1), type) {}

template <class T>
at::Tensor MlpSublayer<T>::forward(const at::Tensor& x, Saved& saved) const {
  at::Tensor y = at::empty_like(x);
  run(x, &saved, y);
  return y;
}

template <class T>
at::Tensor MlpSublayer<T>::infer(const at::Tensor& x) const {
  at::Tensor y = at::empty_like(x);
  run(x, nullptr, y);
  return y;
}

/// @param saved  null: nothing is saved
/// @param y      undefined: not wanted
template <class T>
void MlpSublayer<T>::run(const at::Tensor& x, Saved* saved, const at::Tensor& y) const {
  using W = Wide<T>;
  const std::int64_t tokens = x.size(0), hidden = x.size(1), inner = out_.in();
  const TokenPlan plan(tokens, adapters_.spans);
  if (saved != nullptr) {
    saved->inverse = at::empty({tokens}, wide_type(type_));
    saved->gate_up = at::empty({tokens, 2 * inner}, type_);
    saved->down_in = at::empty({tokens, in_.rank()}, type_);
    saved->down_out = at::empty({tokens, out_.rank()}, type_);
  }
  // Where nothing is saved, blocks write to scratch instead.
  const auto place = [saved](const at::Tensor Saved::*field, std::int64_t row, auto* scratch) {
    using Value = std::remove_pointer_t<decltype(scratch)>;
    return saved == nullptr ? scratch : mutable_data<Value>(saved->*field) + row;
  };
  const T* x_values = data<T>(x);
  T* y_values = y.defined() ? mutable_data<T>(y) : nullptr;
  plan.for_blocks([&](std::size_t segment, std::int64_t first, std::int64_t m) {
    const std::int64_t adapter = plan.segments()[segment].adapter;
    Scratch scratch;
    T* normed = scratch.take<T>(m * hidden);
    W* wide = scratch.take<W>(padded_rows(m) * std::max(2 * inner, hidden));
    T* act = scratch.take<T>(m * inner);
    W* inverse = place(&Saved::inverse, first, scratch.take<W>(m));
    T* gate_up = place(&Saved::gate_up, first * 2 * inner, scratch.take<T>(m * 2 * inner));
    T* down_in = place(&Saved::down_in, first * in_.rank(), scratch.take<T>(m * in_.rank()));
    T* down_out = place(&Saved::down_out, first * out_.rank(), scratch.take<T>(m * out_.rank()));
    rms_norm_rows(m, hidden, x_values + first * hidden, data<W>(weights_.norm), weights_.eps, normed, inverse);
    in_.forward(adapter, m, normed, wide, down_in);
    swiglu_rows(m, inner, wide, gate_up, act);
    out_.forward(adapter, m, act, y_values == nullptr ? nullptr : wide, down_out);
    if (y_values != nullptr) add_rows(m * hidden, x_values + first * hidden, wide, y_values + first * hidden);
  });
}

template <class T>
SublayerGradients MlpSublayer<T>::backward(const at::Tensor& dy, const at::Tensor& x, const Saved& saved,
                                           WantedGradients wanted) {
  in_.prepare_backward();
  out_.prepare_backward();
  using W = Wide<T>;
  const std::int64_t tokens = x.size(0), hidden = x.size(1), inner = out_.in();
  const TokenPlan plan(tokens, adapters_.spans);
  std::vector<GroupGradients> in_sums, out_sums;
  if (wanted.lora) {
    in_sums = in_.make_gradients(plan);
    out_sums = out_.make_gradients(plan);
  }
  const at::Tensor dx = wanted.x ? at::empty_like(x) : at::Tensor();
  T* dx_values = wanted.x ? mutable_data<T>(dx) : nullptr;
  const T *x_values = data<T>(x), *dy_values = data<T>(dy);
  plan.for_blocks([&](std::size_t segment, std::int64_t first, std::int64_t m) {
    const std::int64_t adapter = plan.segments()[segment].adapter;
    Scratch scratch;
    const W* inverse = data<W>(saved.inverse) + first;
    const T* gate_up = data<T>(saved.gate_up) + first * 2 * inner;
    T* act = scratch.take<T>(m * inner);
    W* dact = scratch.take<W>(padded_rows(m) * inner);
    T* dgate_up = scratch.take<T>(m * 2 * inner);
    T* normed = scratch.take<T>(m * hidden);
    W* dnormed = scratch.take<W>(padded_rows(m) * hidden);
    recompute_swiglu(m, inner, gate_up, act);
    out_.backward(adapter, m, dy_values + first * hidden, act, data<T>(saved.down_out) + first * out_.rank(), dact,
                  out_sums.empty() ? nullptr : &out_sums[segment]);
    swiglu_gradient(m, inner, gate_up, dact, dgate_up);
    recompute_rms_norm(m, hidden, x_values + first * hidden, data<W>(weights_.norm), inverse, normed);
    in_.backward(adapter, m, dgate_up, normed, data<T>(saved.down_in) + first * in_.rank(),
                 wanted.x ? dnormed : nullptr, in_sums.empty() ? nullptr : &in_sums[segment]);
    if (wanted.x) {
      rms_norm_gradient(m, hidden, x_values + first * hidden, data<W>(weights_.norm), inverse, dnormed,
                        dy_values + first * hidden, dx_values + first * hidden);
    }
  });
  if (!wanted.lora) return {dx, {}};
  SublayerGradients result{dx, in_.collect(plan, in_sums)};
  for (LoraWeights& lora : out_.collect(plan, out_sums)) result.lora.push_back(std::move(lora));
  return result;
}

template class MlpSublayer<float>;
template class MlpSublayer<Bf16>;
template class MlpSublayer<double>;

}  // namespace shine::cpu
