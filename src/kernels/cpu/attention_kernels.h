#pragma once

#include "kernels/cpu/kernel_types.h"

namespace shine::cpu {

// Loops over transposed blocks of scores: a row for each key, a column for each query, so that what belongs to a query
// (its maximum, its sum) lies in lanes and nothing is summed across a register. T is float, Bf16 or double. Torch-free,
// and compiled for AVX-512: call them only where kernels_run says so.

/// Columns of a block; also the values from one of its rows to the next.
inline constexpr std::int64_t kColumns = 64;

/// Below every score: where a maximum begins.
template <class W>
inline constexpr W kNoScore = sizeof(W) == sizeof(float) ? W(-1.5e38) : W(-1e308);

/// Columns that are worked on for `count` queries: whole registers.
constexpr std::int64_t padded_columns(std::int64_t count) {
  return (count + 15) / 16 * 16;
}

/// A block of scores (keys, columns) in rows of kColumns; `columns` from padded_columns.
template <class W>
struct ScoreBlock {
  std::int64_t keys = 0, columns = 0;
  W scale = 1;                 ///< of the scores
  const W* last = nullptr;     ///< (columns), the last key each query sees; null: every key of the block
  std::int64_t first_key = 0;  ///< number of the block's first key, as `last` counts them
};

/// Softmax of columns that grow block by block: weights = exp(scale * scores - highest), 0 for what a query does not
/// see; `highest` and `sum` (columns) go on from the blocks before, `correction` becomes the factor of what was summed
/// with the weights before. weights (keys, columns) in rows of kColumns, Bf16: a right operand in pairs of rows.
template <class T>
void softmax_columns(const ScoreBlock<Wide<T>>& block, const Wide<T>* scores, T* weights, Wide<T>* highest,
                     Wide<T>* sum, Wide<T>* correction);

/// What a block of the backward gives, each (keys, columns) in rows of kColumns.
template <class T>
struct GradientBlock {
  T* weights;       ///< left operand
  T* to_scores;     ///< left operand
  T* right_scores;  ///< to_scores as a right operand; only Bf16 needs it beside to_scores
};

/// weights = exp(scale * scores - log_sum) and to_scores = weights * (to_weights - delta) * scale. A column with a
/// log_sum of infinity gives zeros.
template <class T>
void softmax_gradient_columns(const ScoreBlock<Wide<T>>& block, const Wide<T>* scores, const Wide<T>* to_weights,
                              const Wide<T>* log_sum, const Wide<T>* delta, const GradientBlock<T>& out);

/// y *= factor, a factor for each column; rows of kColumns.
template <class W>
void scale_columns(std::int64_t rows, std::int64_t columns, const W* factor, W* y);

/// to (n, m) at ld_to = from (m, n) at ld_from, transposed. ld_to is a multiple of 32; columns from m to the next
/// multiple of 32 may be written, and are zeroed for Bf16.
template <class T>
void transpose_block(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to, std::int64_t ld_to);

/// Rows as columns of a right operand: to (n, kColumns) = from (m, n) transposed, in pairs along n for Bf16 (n and
/// ld_from even). Columns from m to padded_columns(m) are zeroed.
template <class T>
void pack_columns(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to);

/// to (m, n) at ld_to = T(from^T), from (n, m) in rows of kColumns.
template <class T>
void columns_to_rows(std::int64_t m, std::int64_t n, const Wide<T>* from, T* to, std::int64_t ld_to);

/// sums[i] = the dot product of the rows i of x and y, m rows of n values.
template <class T>
void dot_rows(std::int64_t m, std::int64_t n, const T* x, std::int64_t ldx, const T* y, std::int64_t ldy,
              Wide<T>* sums);

/// out = T(x - y), n values.
template <class T>
void subtract_row(std::int64_t n, const Wide<T>* x, const T* y, T* out);

}  // namespace shine::cpu
