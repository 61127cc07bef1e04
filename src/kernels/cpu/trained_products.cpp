#include "kernels/cpu/trained_products.h"

#include <ATen/ATen.h>

#include "kernels/cpu/tasks.h"

namespace shine::cpu {
namespace {

/// Rows of a weight, or of its gradient, that one thread works on at a time.
constexpr std::int64_t kWeightRows = 64;
/// Longest inner dimension of a product: what is transposed of dy stays in a core's cache.
constexpr std::int64_t kInnerRows = 1024;

template <class T>
void pack_transposed_weight(const at::Tensor& weight, const at::Tensor& packed) {
  const std::int64_t out = weight.size(0), in = weight.size(1);
  const auto* values = data<Wide<T>>(weight);
  auto* to = mutable_data<T>(packed);
  parallel_for(0, (out + kWeightRows - 1) / kWeightRows, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<T> scratch(sizeof(T) == sizeof(Wide<T>) ? 0 : kWeightRows * in);
    for (std::int64_t row = begin * kWeightRows; row < std::min(end * kWeightRows, out); row += kWeightRows) {
      const std::int64_t count = std::min(kWeightRows, out - row);
      const T* rows = operand_rows<T>(count, in, values + row * in, scratch.data());
      // Columns of the packed form are single values, or pairs of bfloat16.
      transpose_right<T>(count, in, rows, in, to + row * (sizeof(T) == sizeof(Bf16) ? 2 : 1), out);
    }
  });
}

}  // namespace

at::Tensor pack_transposed_weight(const at::Tensor& weight, at::ScalarType type) {
  const at::Tensor packed = at::empty({weight.size(1), weight.size(0)}, weight.options().dtype(type));
  const at::Tensor whole = weight.contiguous();
  with_kernel_type(type, [&](auto kind) { pack_transposed_weight<decltype(kind)>(whole, packed); });
  return packed;
}

at::Tensor pack_weight(const at::Tensor& weight, at::ScalarType type) {
  const at::Tensor whole = weight.contiguous();
  if (type != at::kBFloat16) return whole;
  const std::int64_t out = whole.size(0), in = whole.size(1);
  const at::Tensor packed = at::empty({out, in}, whole.options().dtype(type));
  const auto* values = data<float>(whole);
  auto* to = mutable_data<Bf16>(packed);
  parallel_for(0, (out + kWeightRows - 1) / kWeightRows, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<Bf16> scratch(kWeightRows * in);
    for (std::int64_t row = begin * kWeightRows; row < std::min(end * kWeightRows, out); row += kWeightRows) {
      const std::int64_t count = std::min(kWeightRows, out - row);
      pair_rows(count, in, operand_rows<Bf16>(count, in, values + row * in, scratch.data()), in, to + row * in);
    }
  });
  return packed;
}

template <class T>
WeightGradient weight_gradient(std::int64_t rows, std::int64_t out, std::int64_t in, const T* dy, const T* x) {
  constexpr bool is_double = std::is_same_v<T, double>;
  const auto options = at::TensorOptions().dtype(is_double ? at::kDouble : at::kFloat);
  const WeightGradient gradient{at::empty({out, in}, options), at::zeros({out}, options)};
  auto* dweight = mutable_data<Wide<T>>(gradient.weight);
  auto* dbias = mutable_data<Wide<T>>(gradient.bias);
  constexpr std::int64_t unit = sizeof(T) == sizeof(Bf16) ? 2 : 1;  // rows are an even number of bfloat16
  const std::int64_t longest = std::min(kInnerRows, (rows + unit - 1) / unit * unit);
  parallel_for(0, (out + kWeightRows - 1) / kWeightRows, 1, [&](std::int64_t begin, std::int64_t end) {
    const Workspace<T> left(kWeightRows * longest);
    const Workspace<Wide<T>> sums(kWeightRows);
    for (std::int64_t column = begin * kWeightRows; column < std::min(end * kWeightRows, out); column += kWeightRows) {
      const std::int64_t count = std::min(kWeightRows, out - column);
      for (std::int64_t row = 0; row < rows; row += longest) {
        const std::int64_t length = std::min(longest, rows - row), padded = (length + unit - 1) / unit * unit;
        transpose_left<T>(length, count, dy + row * out + column, out, left.data(), padded);
        row_sums<T>(count, length, left.data(), padded, sums.data());
        for (std::int64_t i = 0; i < count; ++i) dbias[column + i] += sums.data()[i];
        product({.m = count, .n = in, .k = padded, .lda = padded, .ldb = in, .ldc = in, .accumulate = row > 0},
                left.data(), x + row * in, dweight + column * in);
      }
    }
  });
  return gradient;
}

template WeightGradient weight_gradient<float>(std::int64_t, std::int64_t, std::int64_t, const float*, const float*);
template WeightGradient weight_gradient<Bf16>(std::int64_t, std::int64_t, std::int64_t, const Bf16*, const Bf16*);
template WeightGradient weight_gradient<double>(std::int64_t, std::int64_t, std::int64_t, const double*, const double*);

}  // namespace shine::cpu
