#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/torch/attention.h"
#include "shine/tensor/attention_options.h"
#include "shine/tensor/token_rows.h"

namespace shine {

/// Whether LibTorch's attention and the CPU kernel compute attention with these options: true only where every option
/// that they do not read is at its default.
bool fused_attention_knows(const AttentionOptions& options);

/// softmax(q k^T * scale + mask) v, by LibTorch's scaled-dot-product attention where it knows the options.
/// @param q     (.., T, d)
/// @param k, v  (.., S, d)
/// @param mask  added to the scores, of q's dtype, broadcast to (.., T, S); undefined: none
/// @return      (.., T, d)
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                     const AttentionOptions& options);

/// The formula by autograd, behind every attention of a decoder: training, evaluation and decoding.
at::Tensor attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                               const AttentionOptions& options);

/// The same mask in memory whose rows begin at multiples of 16 values: as LibTorch's attention reads it on a GPU, where
/// it otherwise pads a copy of it in every layer. Call it once a pass.
/// @param mask  (.., S)
at::Tensor aligned_mask(const at::Tensor& mask);

/// Causal grouped-query attention inside each row.
/// @param q     (N, heads, d)
/// @param k, v  (N, kv_heads, d); kv_heads divides heads, head h reads kv head h / (heads / kv_heads)
/// @return      (N, heads, d)
/// Throws ShapeError for other shapes, or if the rows do not hold N tokens.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedRows& rows,
                            const AttentionOptions& options);

/// attention_reference row by row.
at::Tensor causal_attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const RowLayout& rows, const AttentionOptions& options);

}  // namespace shine
