#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/cpu/kernel_types.h"

namespace shine::cpu {

/// Tokens that are worked on at a time: their rows stay in a core's cache between the products of a sub-layer.
inline constexpr std::int64_t kBlockRows = 64;

/// Rows that a product of m rows works on: LibTorch compiles a kernel for every number of rows, so that few numbers are
/// used.
inline std::int64_t padded_rows(std::int64_t m) {
  constexpr std::int64_t step = 16;
  return (m + step - 1) / step * step;
}

/// Whether this processor runs the CPU backend (block products and row kernels) for activations of `type`: float32 and
/// float64 with AVX-512, bfloat16 with its bf16 instructions too. float64 is slow and serves gradient checks.
bool kernels_run(at::ScalarType type);

/// c (m, n) = a (m, k) b (k, n), added to c with `accumulate`. lda, ldb, ldc: values from one row to the next.
struct ProductSizes {
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t lda = 0, ldb = 0, ldc = 0;
  bool accumulate = false;
};

/// One thread's product; products of a few hundred kFLOP reach the processor's peak. `b` of bfloat16 is in pairs of
/// rows, (k / 2, n, 2) with ldb columns of pairs, and k is even. Does nothing for m, n or k of 0 but to zero c.
void product(const ProductSizes& sizes, const float* a, const float* b, float* c);
void product(const ProductSizes& sizes, const Bf16* a, const Bf16* b, float* c);
void product(const ProductSizes& sizes, const double* a, const double* b, double* c);

/// Length to which the inner dimension k of a product in `type` is padded with zeros.
inline std::int64_t padded_inner(std::int64_t k, at::ScalarType type) {
  return type == at::kBFloat16 ? (k + 1) / 2 * 2 : k;
}

/// The right operand of `product` from any (K, N) tensor: (K, N), or (padded K / 2, N, 2) for bfloat16. A contiguous
/// tensor of the type is used as it is where the form allows.
at::Tensor pack_right(const at::Tensor& b, at::ScalarType type);

/// The tensor's values as the kernels take them.
template <class T>
const T* data(const at::Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}
template <class T>
T* mutable_data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

/// Calls `f(T{})` with the kernel type of `type`: float, Bf16 or double.
template <class Function>
auto with_kernel_type(at::ScalarType type, const Function& f) {
  if (type == at::kFloat) return f(float{});
  if (type == at::kBFloat16) return f(Bf16{});
  return f(double{});
}

/// float64 for float64, else float32.
inline at::ScalarType wide_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace shine::cpu
