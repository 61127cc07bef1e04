#include <ATen/ATen.h>

#include "kernels/cpu/encoder_blocks.h"
#include "kernels/cpu/tasks.h"
#include "kernels/cpu/trained_products.h"

namespace shine::cpu {
namespace {

template <class T>
at::Tensor forward(const at::Tensor& x, const EncoderWeights& weights, double eps, at::ScalarType type,
                   const EncoderFeedforwardSaved& saved) {
  using W = Wide<T>;
  const std::int64_t rows = x.size(0), width = x.size(1), inner = weights.in_weight.size(0);
  const at::Tensor up = pack_transposed_weight(weights.in_weight, type),
                   down = pack_transposed_weight(weights.out_weight, type);
  const at::Tensor result = at::empty_like(x);
  const auto* values = data<W>(x);
  auto* sum = mutable_data<W>(saved.sum);
  const BlockGroups blocks(rows);
  parallel_for(0, blocks.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<T> rounded(kBlockRows * width), act(kBlockRows * inner);
    const Workspace<W> projected(kBlockRows * std::max(width, inner));
    blocks.for_blocks(begin, end, [&](std::int64_t, std::int64_t first, std::int64_t m) {
      const T* operand = operand_rows<T>(m, width, values + first * width, rounded.data());
      product({.m = m, .n = inner, .k = width, .lda = width, .ldb = inner, .ldc = inner}, operand, data<T>(up),
              projected.data());
      gelu_rows<T>(m, inner, projected.data(), data<W>(weights.in_bias), mutable_data<T>(saved.inner) + first * inner,
                   act.data());
      product({.m = m, .n = width, .k = inner, .lda = inner, .ldb = width, .ldc = width}, act.data(), data<T>(down),
              projected.data());
      add_bias_residual<W>(m, width, values + first * width, projected.data(), data<W>(weights.out_bias),
                           sum + first * width);
      layer_norm_rows<W>(m, width, sum + first * width, data<W>(weights.norm_weight), data<W>(weights.norm_bias), eps,
                         mutable_data<W>(result) + first * width);
    });
  });
  return result;
}

template <class T>
EncoderGradients backward(const at::Tensor& dy, const at::Tensor& x, const EncoderWeights& weights, double eps,
                          at::ScalarType type, const EncoderFeedforwardSaved& saved) {
  using W = Wide<T>;
  const std::int64_t rows = x.size(0), width = x.size(1), inner = weights.in_weight.size(0);
  const at::Tensor up = pack_weight(weights.in_weight, type), down = pack_weight(weights.out_weight, type);
  const BlockGroups blocks(rows);
  const at::Tensor norm_sums = at::zeros({blocks.groups, 2, width}, x.options());  // of its weight and bias
  const at::Tensor dx = at::empty_like(x);  // the gradient of the sum, and then of x
  const bool rounds = sizeof(T) != sizeof(W);
  const Workspace<T> rounded(rounds ? rows * width : 0), act(rows * inner), dinner(rows * inner);
  const RowOperand<T> act_operand(rows, inner, act.data());
  auto* dsum = mutable_data<W>(dx);
  parallel_for(0, blocks.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<W> dact(kBlockRows * inner);
    blocks.for_blocks(begin, end, [&](std::int64_t group, std::int64_t first, std::int64_t m) {
      W* sums = mutable_data<W>(norm_sums) + group * 2 * width;
      layer_norm_gradient<W>(m, width, data<W>(saved.sum) + first * width, data<W>(weights.norm_weight), eps,
                             data<W>(dy) + first * width, dsum + first * width, sums, sums + width);
      const T* operand = operand_rows<T>(m, width, dsum + first * width, rounded.data() + first * width);
      product({.m = m, .n = inner, .k = width, .lda = width, .ldb = inner, .ldc = inner}, operand, data<T>(down),
              dact.data());
      gelu_gradient<T>(m, inner, data<T>(saved.inner) + first * inner, dact.data(), act.data() + first * inner,
                       dinner.data() + first * inner);
      act_operand.set(first, m, act.data() + first * inner);
    });
  });
  const T* dprojected = operand_or<T>(rounded.data(), dsum);
  const WeightGradient of_down = weight_gradient<T>(rows, width, inner, dprojected, act_operand.data());
  const RowOperand<T> x_operand(rows, width, operand_or<T>(nullptr, data<W>(x)));
  parallel_for(0, blocks.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<T> x_rounded(rounds ? kBlockRows * width : 0);
    blocks.for_blocks(begin, end, [&](std::int64_t, std::int64_t first, std::int64_t m) {
      x_operand.set(first, m, operand_rows<T>(m, width, data<W>(x) + first * width, x_rounded.data()));
      product({.m = m, .n = width, .k = inner, .lda = inner, .ldb = width, .ldc = width, .accumulate = true},
              dinner.data() + first * inner, data<T>(up), dsum + first * width);
    });
  });
  const WeightGradient of_up = weight_gradient<T>(rows, inner, width, dinner.data(), x_operand.data());
  const at::Tensor norm = norm_sums.sum(0), norm_weight = norm[0].clone(), norm_bias = norm[1].clone();
  return {dx, {of_up.weight, of_up.bias, of_down.weight, of_down.bias, norm_weight, norm_bias}};
}

}  // namespace

at::Tensor encoder_feedforward_forward(const at::Tensor& x, const EncoderWeights& weights, double eps,
                                       at::ScalarType type, EncoderFeedforwardSaved& saved) {
  saved.inner = at::empty({x.size(0), weights.in_weight.size(0)}, x.options().dtype(type));
  saved.sum = at::empty_like(x);
  return with_kernel_type(type, [&](auto kind) { return forward<decltype(kind)>(x, weights, eps, type, saved); });
}

EncoderGradients encoder_feedforward_backward(const at::Tensor& dy, const at::Tensor& x, const EncoderWeights& weights,
                                              double eps, at::ScalarType type, const EncoderFeedforwardSaved& saved) {
  return with_kernel_type(type, [&](auto kind) { return backward<decltype(kind)>(dy, x, weights, eps, type, saved); });
}

}  // namespace shine::cpu
