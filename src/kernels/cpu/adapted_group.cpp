#include "kernels/cpu/adapted_group.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/cpu/encoder_kernels.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/tasks.h"

namespace shine::cpu {
namespace {

/// Packed rows, an even number of them, as the values of a right operand.
template <class T>
const T* as_right(std::int64_t m, std::int64_t n, const T* rows, Scratch& scratch) {
  return rows_as_right(m, n, rows, n, std::is_same_v<T, Bf16> ? scratch.take<T>(m * n) : nullptr).values;
}

/// Rows of a left operand: themselves, or a copy with zeros behind them up to padded_rows(m).
template <class T>
const T* as_padded(std::int64_t m, std::int64_t n, const T* rows, Scratch& scratch) {
  const std::int64_t all = padded_rows(m);
  if (all == m) return rows;
  T* copy = scratch.take<T>(all * n);
  std::copy_n(rows, m * n, copy);
  std::fill_n(copy + m * n, (all - m) * n, T{});
  return copy;
}

/// Values from the start of a right operand to its column `column`.
template <class T>
constexpr std::int64_t right_offset(std::int64_t column) {
  return std::is_same_v<T, Bf16> ? 2 * column : column;
}

/// The right operand (rows, columns) made of rows.
template <class T>
at::Tensor right_operand(std::int64_t rows, std::int64_t columns, const T* from, at::ScalarType type) {
  const at::Tensor to = at::empty({padded_inner(rows, type), columns}, type);
  if constexpr (std::is_same_v<T, Bf16>) {
    pair_rows(rows, columns, from, columns, mutable_data<Bf16>(to));
  } else {
    std::copy_n(from, rows * columns, mutable_data<T>(to));
  }
  return to;
}

/// The right operand (columns, rows) made of the transpose of rows.
template <class T>
at::Tensor transposed_operand(std::int64_t rows, std::int64_t columns, const T* from, at::ScalarType type) {
  const at::Tensor to = at::empty({padded_inner(columns, type), rows}, type);
  transpose_right(rows, columns, from, columns, mutable_data<T>(to), rows);
  return to;
}

/// Two dimensions of float32 (or float64) values of one adapter.
at::Tensor wide_values(const at::Tensor& of_all, std::int64_t adapter, at::ScalarType type) {
  return of_all[adapter].to(wide_type(type)).contiguous();
}

}  // namespace

TokenPlan::TokenPlan(std::int64_t tokens, const std::vector<std::int64_t>& spans) {
  const std::vector<std::int64_t> all{0, tokens};
  const std::vector<std::int64_t>& borders = spans.empty() ? all : spans;
  const std::int64_t threads = std::max(1, at::get_num_threads());
  // Whole steps of padded_rows, so that only the ends of adapters' tokens are padded.
  const auto share_end = [=](std::int64_t thread) {
    return std::min(tokens, padded_rows(tokens * (thread + 1) / threads));
  };
  std::size_t adapter = 0;
  for (std::int64_t thread = 0; thread < threads; ++thread) {
    const std::int64_t end = share_end(thread);
    for (std::int64_t first = thread == 0 ? 0 : share_end(thread - 1); first < end;) {
      while (borders[adapter + 1] <= first) ++adapter;
      const std::int64_t last = std::min(end, borders[adapter + 1]);
      segments_.push_back({static_cast<std::int64_t>(adapter), first, last});
      first = last;
    }
    threads_.push_back(segments_.size());
  }
}

void TokenPlan::run(const std::function<void(std::size_t)>& of_segment) const {
  parallel_for(0, static_cast<std::int64_t>(threads_.size()) - 1, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::size_t first = threads_[static_cast<std::size_t>(begin)], last = threads_[static_cast<std::size_t>(end)];
    for (std::size_t index = first; index < last; ++index) of_segment(index);
  });
}

template <class T>
AdaptedGroup<T>::AdaptedGroup(std::span<const PreparedLinear> linear, std::span<const LoraWeights> lora,
                              at::ScalarType type)
    : linear_(linear), lora_(lora.begin(), lora.end()), type_(type) {
  for (const PreparedLinear& each : linear_) offsets_.push_back(offsets_.back() + each.out);
  if (lora_.empty()) return;
  rank_ = padded_inner(lora_.front().a.size(2), type);
  for (std::int64_t i = 0; i < lora_.front().a.size(0); ++i) {
    Scratch scratch;
    Adapter adapter;
    adapter.down = right_operand<T>(in(), rank(), stacked_down(i, scratch), type);
    bool has_constant = false;
    for (std::size_t p = 0; p < lora_.size(); ++p) {
      adapter.up.push_back(right_operand<T>(rank_, width(p), padded_up(i, p, scratch), type));
      has_constant |= lora_[p].c.defined();
    }
    if (has_constant) {
      adapter.constant = at::zeros({out()}, wide_type(type));
      for (std::size_t p = 0; p < lora_.size(); ++p) {
        if (lora_[p].c.defined()) adapter.constant.narrow(0, offsets_[p], width(p)).copy_(lora_[p].c[i]);
      }
    }
    adapters_.push_back(std::move(adapter));
  }
}

template <class T>
void AdaptedGroup<T>::prepare_backward() {
  for (std::size_t i = 0; i < adapters_.size(); ++i) {
    const auto adapter = static_cast<std::int64_t>(i);
    Scratch scratch;
    adapters_[i].down_transposed = transposed_operand<T>(in(), rank(), stacked_down(adapter, scratch), type_);
    adapters_[i].up_transposed.clear();
    for (std::size_t p = 0; p < lora_.size(); ++p) {
      adapters_[i].up_transposed.push_back(
          transposed_operand<T>(rank_, width(p), padded_up(adapter, p, scratch), type_));
    }
  }
}

template <class T>
const T* AdaptedGroup<T>::stacked_down(std::int64_t adapter, Scratch& scratch) const {
  T* stacked = scratch.take<T>(in() * rank());
  std::fill_n(stacked, in() * rank(), T{});
  for (std::size_t p = 0; p < lora_.size(); ++p) {
    const at::Tensor a = wide_values(lora_[p].a, adapter, type_);
    const std::int64_t r = a.size(1);
    round_rows<T>(in(), r, data<Wide<T>>(a), r, stacked + static_cast<std::int64_t>(p) * rank_, rank());
  }
  return stacked;
}

template <class T>
const T* AdaptedGroup<T>::padded_up(std::int64_t adapter, std::size_t p, Scratch& scratch) const {
  const at::Tensor b = wide_values(lora_[p].b, adapter, type_);
  T* rows = scratch.take<T>(rank_ * width(p));
  std::fill_n(rows, rank_ * width(p), T{});
  round_rows<T>(b.size(0), width(p), data<Wide<T>>(b), width(p), rows, width(p));
  return rows;
}

template <class T>
void AdaptedGroup<T>::forward(std::int64_t adapter, std::int64_t m, const T* x, Wide<T>* y, T* down) const {
  using W = Wide<T>;
  Scratch scratch;
  const std::int64_t rows = padded_rows(m);
  x = as_padded(m, in(), x, scratch);
  for (std::size_t p = 0; y != nullptr && p < linear_.size(); ++p) {
    const PreparedLinear& linear = linear_[p];
    product({.m = rows, .n = linear.out, .k = in(), .lda = in(), .ldb = linear.out, .ldc = out()}, x,
            data<T>(linear.forward), y + offsets_[p]);
    if (linear.bias.defined()) add_bias<T>(m, linear.out, data<W>(linear.bias), y + offsets_[p], out());
  }
  if (lora_.empty()) return;
  const Adapter& values = adapters_[static_cast<std::size_t>(adapter)];
  W* wide = scratch.take<W>(rows * rank());
  T* inner = scratch.take<T>(rows * rank());
  product({.m = rows, .n = rank(), .k = in(), .lda = in(), .ldb = rank(), .ldc = rank()}, x, data<T>(values.down),
          wide);
  round_rows<T>(rows, rank(), wide, rank(), inner, rank());
  std::copy_n(inner, m * rank(), down);
  if (y == nullptr) return;
  for (std::size_t p = 0; p < lora_.size(); ++p) {
    product({.m = rows, .n = width(p), .k = rank_, .lda = rank(), .ldb = width(p), .ldc = out(), .accumulate = true},
            inner + static_cast<std::int64_t>(p) * rank_, data<T>(values.up[p]), y + offsets_[p]);
  }
  if (values.constant.defined()) add_bias<T>(m, out(), data<W>(values.constant), y, out());
}

template <class T>
void AdaptedGroup<T>::backward(std::int64_t adapter, std::int64_t m, const T* dy, const T* x, const T* down,
                               Wide<T>* dx, GroupGradients* gradients) const {
  using W = Wide<T>;
  Scratch scratch;
  const std::int64_t rows = padded_rows(m);
  dy = as_padded(m, out(), dy, scratch);
  for (std::size_t p = 0; dx != nullptr && p < linear_.size(); ++p) {
    product({.m = rows, .n = in(), .k = width(p), .lda = out(), .ldb = in(), .ldc = in(), .accumulate = p > 0},
            dy + offsets_[p], data<T>(linear_[p].backward), dx);
  }
  if (lora_.empty()) return;
  const Adapter& values = adapters_[static_cast<std::size_t>(adapter)];
  W* wide = scratch.take<W>(rows * rank());
  T* inner = scratch.take<T>(rows * rank());  // dy B^T
  for (std::size_t p = 0; p < lora_.size(); ++p) {
    product({.m = rows, .n = rank_, .k = width(p), .lda = out(), .ldb = rank_, .ldc = rank()}, dy + offsets_[p],
            data<T>(values.up_transposed[p]), wide + static_cast<std::int64_t>(p) * rank_);
  }
  round_rows<T>(rows, rank(), wide, rank(), inner, rank());
  if (dx != nullptr) {
    product({.m = rows, .n = in(), .k = rank(), .lda = rank(), .ldb = in(), .ldc = in(), .accumulate = true}, inner,
            data<T>(values.down_transposed), dx);
  }
  if (gradients == nullptr) return;
  // Products over the tokens: what lies behind the last one is zero on both sides.
  T* left = scratch.take<T>(rank() * rows);
  transpose_left(m, rank(), inner, rank(), left, rows);
  product({.m = rank(), .n = in(), .k = rows, .lda = rows, .ldb = in(), .ldc = in(), .accumulate = true}, left,
          as_right(rows, in(), as_padded(m, in(), x, scratch), scratch), mutable_data<W>(gradients->down));
  transpose_left(m, rank(), down, rank(), left, rows);
  const T* right = as_right(rows, out(), dy, scratch);
  for (std::size_t p = 0; p < lora_.size(); ++p) {
    product({.m = rank_, .n = width(p), .k = rows, .lda = rows, .ldb = out(), .ldc = width(p), .accumulate = true},
            left + static_cast<std::int64_t>(p) * rank_ * rows, right + right_offset<T>(offsets_[p]),
            mutable_data<W>(gradients->up[p]));
  }
  if (gradients->constant.defined()) sum_rows(m, out(), dy, out(), mutable_data<W>(gradients->constant));
}

template <class T>
std::vector<GroupGradients> AdaptedGroup<T>::make_gradients(const TokenPlan& plan) const {
  std::vector<GroupGradients> all;
  if (lora_.empty()) return all;
  const auto options = at::TensorOptions().dtype(wide_type(type_));
  const bool has_constant = adapters_.front().constant.defined();
  for (std::size_t i = 0; i < plan.segments().size(); ++i) {
    GroupGradients each;
    each.down = at::zeros({rank(), in()}, options);
    for (std::size_t p = 0; p < lora_.size(); ++p) each.up.push_back(at::zeros({rank_, width(p)}, options));
    if (has_constant) each.constant = at::zeros({out()}, options);
    all.push_back(std::move(each));
  }
  return all;
}

template <class T>
std::vector<LoraWeights> AdaptedGroup<T>::collect(const TokenPlan& plan,
                                                  const std::vector<GroupGradients>& gradients) const {
  std::vector<LoraWeights> result(lora_.size());
  for (std::size_t p = 0; p < lora_.size(); ++p) {
    const LoraWeights& lora = lora_[p];
    const std::int64_t r = lora.a.size(2), first_rank = static_cast<std::int64_t>(p) * rank_;
    const auto options = at::TensorOptions().dtype(wide_type(type_));
    const at::Tensor a = at::zeros(lora.a.sizes(), options), b = at::zeros(lora.b.sizes(), options);
    const at::Tensor c = lora.c.defined() ? at::zeros(lora.c.sizes(), options) : at::Tensor();
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      const std::int64_t adapter = plan.segments()[i].adapter;
      a[adapter].add_(gradients[i].down.narrow(0, first_rank, r).t());
      b[adapter].add_(gradients[i].up[p].narrow(0, 0, r));
      if (c.defined()) c[adapter].add_(gradients[i].constant.narrow(0, offsets_[p], width(p)));
    }
    const auto cast = [](const at::Tensor& sum, const at::Tensor& as) {
      return sum.defined() ? sum.to(as.scalar_type()) : sum;
    };
    result[p] = {cast(a, lora.a), cast(b, lora.b), cast(c, lora.c)};
  }
  return result;
}

template class AdaptedGroup<float>;
template class AdaptedGroup<Bf16>;
template class AdaptedGroup<double>;

}  // namespace shine::cpu
