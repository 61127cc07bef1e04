#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "shine/tensor/token_rows.h"

namespace shine::cpu {

/// Heads of an attention over packed rows.
struct AttentionHeads {
  std::int64_t heads = 0, kv_heads = 0, d = 0;  ///< d is even for bfloat16
  double scale = 1.0;
};

/// Which tokens are queries. Every token of a row is a key of that row.
struct AttentionRows {
  RowLayout keys;                       ///< R rows, N tokens
  RowLayout queries;                    ///< R rows, Nq tokens: `keys`, or fewer
  std::vector<std::int64_t> positions;  ///< (Nq) position of each query in its row, increasing; empty: all tokens
};

/// What the backward needs beside the inputs.
struct AttentionResult {
  at::Tensor out;       ///< (Nq, heads * d), dtype of q
  at::Tensor log_sums;  ///< (Nq, heads), log of the sum of exp(scores), float32 (float64 for float64)
};

struct AttentionGradients {
  at::Tensor q, k, v;  ///< shapes and dtype of the inputs
};

/// Causal grouped-query attention: softmax(q k^T * scale) v; a query at position p sees the keys 0 .. p of its row;
/// head h reads kv head h / (heads / kv_heads). Works on blocks of queries, in parallel over rows and heads; scores of
/// a block live in scratch only. Call only where kernels_run(q's dtype). No checks: the sub-layer has made them.
/// @param q     (Nq, heads * d), contiguous
/// @param k, v  (N, kv_heads * d), contiguous
AttentionResult attention_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const AttentionRows& rows, const AttentionHeads& heads);

/// @param dout  (Nq, heads * d), contiguous, dtype of q
AttentionGradients attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                      const at::Tensor& v, const AttentionResult& result, const AttentionRows& rows,
                                      const AttentionHeads& heads);

}  // namespace shine::cpu
