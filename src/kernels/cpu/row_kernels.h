#pragma once

#include "kernels/cpu/kernel_types.h"

namespace shine::cpu {

// Loops over m rows of a block, each over memory once. T is the type of activations: float, Bf16 or double; results
// are rounded to it once. Rows of `x` lie ldx values apart. Torch-free, and compiled for AVX-512: call them only where
// kernels_run says so.

/// out = w * x / sqrt(mean(x^2) + eps) for m rows of `width`, packed; inverse[i] = the factor of row i.
template <class T>
void rms_norm_rows(std::int64_t m, std::int64_t width, const T* x, const Wide<T>* weight, double eps, T* out,
                   Wide<T>* inverse);

/// out = w * x * inverse: the same again from the saved factors.
template <class T>
void recompute_rms_norm(std::int64_t m, std::int64_t width, const T* x, const Wide<T>* weight, const Wide<T>* inverse,
                        T* out);

/// dx = residual + gradient of the norm's input, where dy is the gradient of its output. residual may be null.
template <class T>
void rms_norm_gradient(std::int64_t m, std::int64_t width, const T* x, const Wide<T>* weight, const Wide<T>* inverse,
                       const Wide<T>* dy, const T* residual, T* dx);

/// Sizes of `heads` vectors of d values that lie one after another in each of m rows.
struct HeadSizes {
  std::int64_t m = 0, heads = 0, d = 0;
  std::int64_t ld_gradient = 0;  ///< values from row to row of the projections' gradient
};

/// Per-head RMSNorm (weight null: none) and rotation of `raw`, the projections, to `out`: both (m, heads * d); cos and
/// sin (m, d / 2).
template <class T>
void head_norm_rope(const HeadSizes& sizes, const T* raw, const Wide<T>* weight, double eps, const Wide<T>* cos,
                    const Wide<T>* sin, T* out);

/// The gradient of the projections, (m, heads * d) at ld_gradient, from that of `out`.
template <class T>
void head_norm_rope_gradient(const HeadSizes& sizes, const T* raw, const Wide<T>* weight, double eps,
                             const Wide<T>* cos, const Wide<T>* sin, const T* dout, T* dprojected);

/// From a block (m, 2 width) of [gate | up]: both rounded into `saved` (m, 2 width), act = silu(gate) * up (m, width).
template <class T>
void swiglu_rows(std::int64_t m, std::int64_t width, const Wide<T>* gate_up, T* saved, T* act);

/// Recomputes act from `saved`.
template <class T>
void recompute_swiglu(std::int64_t m, std::int64_t width, const T* saved, T* act);

/// d[gate | up] (m, 2 width) from the gradient of act (m, width).
template <class T>
void swiglu_gradient(std::int64_t m, std::int64_t width, const T* saved, const Wide<T>* dact, T* dgate_up);

/// to = T(from), rows of n values.
template <class T>
void round_rows(std::int64_t m, std::int64_t n, const Wide<T>* from, std::int64_t ld_from, T* to, std::int64_t ld_to);

/// to = from, rows of n values.
template <class T>
void copy_rows(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to, std::int64_t ld_to);

/// out = T(x + y) for packed rows.
template <class T>
void add_rows(std::int64_t count, const T* x, const Wide<T>* y, T* out);

/// y += bias in every row.
template <class T>
void add_bias(std::int64_t m, std::int64_t n, const Wide<T>* bias, Wide<T>* y, std::int64_t ld_y);

/// sums += the sum over m rows, n values each.
template <class T>
void sum_rows(std::int64_t m, std::int64_t n, const T* x, std::int64_t ldx, Wide<T>* sums);

/// A right operand of `product` from rows that lie ld_from apart: rows in pairs for Bf16 (an odd last one beside
/// zeros). to: (padded m, n).
void pair_rows(std::int64_t m, std::int64_t n, const Bf16* from, std::int64_t ld_from, Bf16* to);

/// A right operand of `product`: its values, and ldb.
template <class T>
struct RightOperand {
  const T* values;
  std::int64_t ld;
};

/// Rows as a right operand: as they lie, but for Bf16, whose pairs are written to `scratch` (padded m, n).
template <class T>
RightOperand<T> rows_as_right(std::int64_t m, std::int64_t n, const T* rows, std::int64_t ld, T* scratch) {
  if constexpr (std::is_same_v<T, Bf16>) {
    pair_rows(m, n, rows, ld, scratch);
    return {scratch, n};
  } else {
    return {rows, ld};
  }
}

}  // namespace shine::cpu
