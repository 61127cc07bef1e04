#include <ATen/ATen.h>

#include <cmath>

#include "kernels/cpu/encoder_blocks.h"
#include "kernels/cpu/tasks.h"
#include "kernels/cpu/trained_products.h"

namespace shine::cpu {
namespace {

/// The attention of one head in one sequence; one object serves one thread.
template <class T>
class HeadAttention {
  using W = Wide<T>;

 public:
  HeadAttention(const EncoderAttentionForm& form, std::int64_t width, bool with_gradient)
      : sequences_(form.sequences),
        length_(form.sequences.length),
        padded_(padded_inner(length_, form.type)),
        d_(width / form.heads),
        width_(width),
        scale_(1.0 / std::sqrt(static_cast<double>(d_))),
        attn_mask_(form.attn_mask.defined() ? data<bool>(form.attn_mask) : nullptr),
        transposed_(d_ * length_),
        operand_(padded_ * d_),
        weights_(length_ * length_),
        dweights_(with_gradient ? length_ * length_ : 0),
        left_(length_ * padded_),
        rounded_(length_ * padded_),
        result_(length_ * d_) {}

  /// attn_out (N, width) from qkv (N, 3 width).
  void forward(std::int64_t sequence, std::int64_t head, const T* qkv, T* attn_out) {
    const std::int64_t row = sequences_.first_row(sequence), ld = 3 * width_ * sequences_.inner;
    const T* q = qkv + row * 3 * width_ + head * d_;
    weigh(q, q + width_, ld);
    const T* p = operand_of(weights_.data());
    multiply(p, right(q + 2 * width_, ld), attn_out + row * width_ + head * d_, width_ * sequences_.inner);
  }

  /// dqkv (N, 3 width) from d_attn_out (N, width).
  void backward(std::int64_t sequence, std::int64_t head, const T* qkv, const T* d_attn_out, T* dqkv) {
    const std::int64_t row = sequences_.first_row(sequence), ld = 3 * width_ * sequences_.inner;
    const std::int64_t ld_out = width_ * sequences_.inner;
    const T* q = qkv + row * 3 * width_ + head * d_;
    const T *k = q + width_, *v = k + width_, *dout = d_attn_out + row * width_ + head * d_;
    T* dq = dqkv + row * 3 * width_ + head * d_;
    weigh(q, k, ld);
    transpose_right<T>(length_, d_, v, ld, transposed_.data(), length_);
    product({.m = length_, .n = length_, .k = d_, .lda = ld_out, .ldb = length_, .ldc = length_}, dout,
            transposed_.data(), dweights_.data());
    multiply(transpose_of(weights_.data()), right(dout, ld_out), dq + 2 * width_, ld);  // dv
    softmax_gradient<W>(length_, length_, weights_.data(), dweights_.data(), scale_);
    multiply(operand_of(dweights_.data()), right(k, ld), dq, ld);
    multiply(transpose_of(dweights_.data()), right(q, ld), dq + width_, ld);  // dk
  }

 private:
  /// weights = softmax(q k^T * scale)
  void weigh(const T* q, const T* k, std::int64_t ld) {
    transpose_right<T>(length_, d_, k, ld, transposed_.data(), length_);
    product({.m = length_, .n = length_, .k = d_, .lda = ld, .ldb = length_, .ldc = length_}, q, transposed_.data(),
            weights_.data());
    softmax_rows<W>(length_, length_, weights_.data(), scale_, attn_mask_);
  }

  /// A head's rows as right operand.
  RightOperand<T> right(const T* rows, std::int64_t ld) const {
    return rows_as_right(length_, d_, rows, ld, operand_.data());
  }

  /// Weights (length, length) as left operand (length, padded).
  const T* operand_of(const W* weights) const {
    if constexpr (sizeof(T) == sizeof(W)) {
      return weights;
    } else {
      round_rows<T>(length_, length_, weights, length_, rounded_.data(), padded_);
      for (std::int64_t i = 0; i < (padded_ == length_ ? 0 : length_); ++i)
        rounded_.data()[(i + 1) * padded_ - 1] = T{};
      return rounded_.data();
    }
  }

  const T* transpose_of(const W* weights) const {
    transpose_left<T>(length_, length_, operand_of(weights), padded_, left_.data(), padded_);
    return left_.data();
  }

  /// to (length, d) = left (length, padded) right
  void multiply(const T* left, RightOperand<T> right, T* to, std::int64_t ld_to) const {
    rounded_product<T>({.m = length_, .n = d_, .k = padded_, .lda = padded_, .ldb = right.ld}, left, right.values, to,
                       ld_to, result_.data());
  }

  EncoderSequences sequences_;
  std::int64_t length_, padded_, d_, width_;
  double scale_;
  const bool* attn_mask_;
  Workspace<T> transposed_, operand_;
  Workspace<W> weights_, dweights_;
  Workspace<T> left_, rounded_;
  Workspace<W> result_;
};

/// Calls f(attention, sequence, head) for all, in parallel.
template <class T, class Function>
void for_heads(const EncoderAttentionForm& form, std::int64_t width, bool with_gradient, const Function& f) {
  parallel_for(0, form.sequences.count() * form.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    HeadAttention<T> attention(form, width, with_gradient);
    for (std::int64_t task = begin; task < end; ++task) f(attention, task / form.heads, task % form.heads);
  });
}

template <class T>
at::Tensor forward(const at::Tensor& x, const EncoderWeights& weights, const EncoderAttentionForm& form,
                   const EncoderAttentionSaved& saved) {
  using W = Wide<T>;
  const std::int64_t rows = x.size(0), width = x.size(1), wide = 3 * width;
  const at::Tensor in = pack_transposed_weight(weights.in_weight, form.type);
  const at::Tensor out = pack_transposed_weight(weights.out_weight, form.type);
  const at::Tensor result = at::empty_like(x);
  const auto* values = data<W>(x);
  auto* qkv = mutable_data<T>(saved.qkv);
  auto* attn_out = mutable_data<T>(saved.attn_out);
  auto* sum = mutable_data<W>(saved.sum);
  const BlockGroups blocks(rows);
  parallel_for(0, blocks.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<T> rounded(kBlockRows * width);
    const Workspace<W> projected(kBlockRows * wide);
    blocks.for_blocks(begin, end, [&](std::int64_t, std::int64_t first, std::int64_t m) {
      product({.m = m, .n = wide, .k = width, .lda = width, .ldb = wide, .ldc = wide},
              operand_rows<T>(m, width, values + first * width, rounded.data()), data<T>(in), projected.data());
      round_biased<T>(m, wide, projected.data(), data<W>(weights.in_bias), qkv + first * wide);
    });
  });
  for_heads<T>(form, width, /*with_gradient=*/false, [&](auto& attention, std::int64_t sequence, std::int64_t head) {
    attention.forward(sequence, head, qkv, attn_out);
  });
  parallel_for(0, blocks.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<W> projected(kBlockRows * width);
    blocks.for_blocks(begin, end, [&](std::int64_t, std::int64_t first, std::int64_t m) {
      product({.m = m, .n = width, .k = width, .lda = width, .ldb = width, .ldc = width}, attn_out + first * width,
              data<T>(out), projected.data());
      add_bias_residual<W>(m, width, values + first * width, projected.data(), data<W>(weights.out_bias),
                           sum + first * width);
      layer_norm_rows<W>(m, width, sum + first * width, data<W>(weights.norm_weight), data<W>(weights.norm_bias),
                         form.eps, mutable_data<W>(result) + first * width);
    });
  });
  return result;
}

template <class T>
EncoderGradients backward(const at::Tensor& dy, const at::Tensor& x, const EncoderWeights& weights,
                          const EncoderAttentionForm& form, const EncoderAttentionSaved& saved) {
  using W = Wide<T>;
  const std::int64_t rows = x.size(0), width = x.size(1), wide = 3 * width;
  const at::Tensor in = pack_weight(weights.in_weight, form.type), out = pack_weight(weights.out_weight, form.type);
  const BlockGroups blocks(rows);
  const at::Tensor norm_sums = at::zeros({blocks.groups, 2, width}, x.options());  // of its weight and bias
  const at::Tensor dx = at::empty_like(x);  // the gradient of the sum, and then of x
  const bool rounds = sizeof(T) != sizeof(W);
  const Workspace<T> rounded(rounds ? rows * width : 0), d_attn_out(rows * width), dqkv(rows * wide);
  const RowOperand<T> attn_out_operand(rows, width, data<T>(saved.attn_out));
  const RowOperand<T> x_operand(rows, width, operand_or<T>(nullptr, data<W>(x)));
  auto* dsum = mutable_data<W>(dx);
  parallel_for(0, blocks.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<W> projected(rounds ? kBlockRows * width : 0);
    blocks.for_blocks(begin, end, [&](std::int64_t group, std::int64_t first, std::int64_t m) {
      const std::int64_t at = first * width;
      W* sums = mutable_data<W>(norm_sums) + group * 2 * width;
      layer_norm_gradient<W>(m, width, data<W>(saved.sum) + at, data<W>(weights.norm_weight), form.eps,
                             data<W>(dy) + at, dsum + at, sums, sums + width);
      rounded_product<T>({.m = m, .n = width, .k = width, .lda = width, .ldb = width},
                         operand_rows<T>(m, width, dsum + at, rounded.data() + at), data<T>(out),
                         d_attn_out.data() + at, width, projected.data());
      attn_out_operand.set(first, m, data<T>(saved.attn_out) + at);
    });
  });
  const WeightGradient of_out =
      weight_gradient<T>(rows, width, width, operand_or<T>(rounded.data(), dsum), attn_out_operand.data());
  for_heads<T>(form, width, /*with_gradient=*/true, [&](auto& attention, std::int64_t sequence, std::int64_t head) {
    attention.backward(sequence, head, data<T>(saved.qkv), d_attn_out.data(), dqkv.data());
  });
  parallel_for(0, blocks.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<T> x_rounded(rounds ? kBlockRows * width : 0);
    blocks.for_blocks(begin, end, [&](std::int64_t, std::int64_t first, std::int64_t m) {
      x_operand.set(first, m, operand_rows<T>(m, width, data<W>(x) + first * width, x_rounded.data()));
      product({.m = m, .n = width, .k = wide, .lda = wide, .ldb = width, .ldc = width, .accumulate = true},
              dqkv.data() + first * wide, data<T>(in), dsum + first * width);
    });
  });
  const WeightGradient of_in = weight_gradient<T>(rows, wide, width, dqkv.data(), x_operand.data());
  const at::Tensor norm = norm_sums.sum(0), norm_weight = norm[0].clone(), norm_bias = norm[1].clone();
  return {dx, {of_in.weight, of_in.bias, of_out.weight, of_out.bias, norm_weight, norm_bias}};
}

}  // namespace

at::Tensor encoder_attention_forward(const at::Tensor& x, const EncoderWeights& weights,
                                     const EncoderAttentionForm& form, EncoderAttentionSaved& saved) {
  const std::int64_t rows = x.size(0), width = x.size(1);
  saved.qkv = at::empty({rows, 3 * width}, x.options().dtype(form.type));
  saved.attn_out = at::empty({rows, width}, x.options().dtype(form.type));
  saved.sum = at::empty_like(x);
  return with_kernel_type(form.type, [&](auto kind) { return forward<decltype(kind)>(x, weights, form, saved); });
}

EncoderGradients encoder_attention_backward(const at::Tensor& dy, const at::Tensor& x, const EncoderWeights& weights,
                                            const EncoderAttentionForm& form, const EncoderAttentionSaved& saved) {
  return with_kernel_type(form.type, [&](auto kind) { return backward<decltype(kind)>(dy, x, weights, form, saved); });
}

}  // namespace shine::cpu
