#pragma once

#include "kernels/cpu/kernel_types.h"

namespace shine::cpu {

// Loops over m packed rows of a block of an encoder layer. T is the type of a product's operands: float, Bf16 or
// double; what is not an operand is Wide<T>. Torch-free, and compiled for AVX-512: call them only where kernels_run
// says so.

/// y = (z - mean) / sqrt(variance + eps) * weight + bias of every row.
template <class W>
void layer_norm_rows(std::int64_t m, std::int64_t width, const W* z, const W* weight, const W* bias, double eps, W* y);

/// dz from the gradient dy of the norm's output; the gradients of weight and bias are added to dweight and dbias.
template <class W>
void layer_norm_gradient(std::int64_t m, std::int64_t width, const W* z, const W* weight, double eps, const W* dy,
                         W* dz, W* dweight, W* dbias);

/// z = x + y + bias
template <class W>
void add_bias_residual(std::int64_t m, std::int64_t width, const W* x, const W* y, const W* bias, W* z);

/// out = T(y + bias)
template <class T>
void round_biased(std::int64_t m, std::int64_t n, const Wide<T>* y, const Wide<T>* bias, T* out);

/// saved = T(y + bias); act = T(gelu(saved)), the exact gelu.
template <class T>
void gelu_rows(std::int64_t m, std::int64_t n, const Wide<T>* y, const Wide<T>* bias, T* saved, T* act);

/// Recomputes act, and gives dinner from the gradient of act.
template <class T>
void gelu_gradient(std::int64_t m, std::int64_t n, const T* saved, const Wide<T>* dact, T* act, T* dinner);

/// Softmax of every row of scores * scale, in place. attn_mask is null or (m, n), true where a key is
/// masked; no row may be masked throughout.
template <class W>
void softmax_rows(std::int64_t m, std::int64_t n, W* scores, double scale, const bool* attn_mask);

/// The gradient of the scores from the weights p and their gradient dp, into dp.
template <class W>
void softmax_gradient(std::int64_t m, std::int64_t n, const W* p, W* dp, double scale);

/// to (n, ld_to) = from (m, n) transposed; columns from m to ld_to are zeroed.
template <class T>
void transpose_left(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to, std::int64_t ld_to);

/// A right operand (n, m) of `product` from `from` (m, n) transposed: pairs along n for Bf16, where n and ld_from
/// are even.
/// ld_to: columns (of pairs) from one row to the next.
template <class T>
void transpose_right(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to, std::int64_t ld_to);

/// sums[i] = the sum of row i's n values.
template <class T>
void row_sums(std::int64_t m, std::int64_t n, const T* x, std::int64_t ldx, Wide<T>* sums);

}  // namespace shine::cpu
