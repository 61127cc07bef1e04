#pragma once

#include <ATen/core/Tensor.h>

#include "shine/tensor/packed_rows.h"

namespace shine {

/// For q of `type` with heads of d values on `device`. With layout `padded`, rows stay packed (cu_seqlens) where
/// LibTorch's varlen flash attention takes them: a GPU, bfloat16, and CudaKernel::packed_attention in use.
PackedRows pack_rows(const RowLayout& rows, AttentionLayout layout, at::Device device, at::ScalarType type,
                     std::int64_t d);

namespace torch_kernels {

/// Causal grouped-query attention inside each row (ops/attention.h) by LibTorch's scaled-dot-product attention.
/// @param q     (N, heads, d)
/// @param k, v  (N, kv_heads, d)
/// @return      (N, heads, d)
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedRows& rows,
                            double scale);

}  // namespace torch_kernels
}  // namespace shine
