#pragma once

#include <ATen/core/Tensor.h>

#include "shine/tensor/token_rows.h"

namespace shine {

/// How the packed rows meet the attention kernel.
enum class AttentionLayout {
  per_row,  ///< one call a row, nothing padded: best on a CPU
  padded,   ///< one call over right-padded rows, causal, without a mask: best on a GPU
};

inline AttentionLayout best_layout(at::Device device) {
  return device.is_cpu() ? AttentionLayout::per_row : AttentionLayout::padded;
}

/// Rows as the attention of all layers of a pass reads them, made once.
struct PreparedRows {
  RowLayout rows;
  at::Tensor places;   ///< (N), int64, of each token among (R, longest) padded ones; undefined: one call a row
  at::Tensor offsets;  ///< (R + 1), int32, of the rows: a kernel that takes them end to end; else undefined
};

/// For q of `type` with heads of d values on `device`. `padded` rows are not padded where LibTorch's flash attention
/// takes them end to end: a GPU, bfloat16, and CudaKernel::packed_attention in use.
PreparedRows prepare_rows(const RowLayout& rows, AttentionLayout layout, at::Device device, at::ScalarType type,
                          std::int64_t d);

/// Causal grouped-query attention inside each row: softmax(q k^T * scale) v.
/// @param q     (N, heads, d)
/// @param k, v  (N, kv_heads, d); kv_heads divides heads, head h reads kv head h / (heads / kv_heads)
/// @return      (N, heads, d)
/// Throws ShapeError for other shapes, or if the rows do not hold N tokens.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PreparedRows& rows,
                            double scale);
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                            double scale, AttentionLayout layout);

/// The formula with explicit scores, by autograd: the plain twin that tests causal_attention.
at::Tensor causal_attention_plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                                  double scale);

}  // namespace shine
