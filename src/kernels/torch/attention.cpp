#include "kernels/torch/attention.h"

#include <ATen/ATen.h>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/fused.h"

namespace shine {
namespace {

/// (T, kv_heads, d) -> (T, heads, d), each kv head repeated for its group.
at::Tensor repeat_heads(const at::Tensor& x, std::int64_t heads) {
  const std::int64_t group = heads / x.size(-2);
  return group == 1 ? x : x.repeat_interleave(group, -2);
}

/// @param q, k, v  (B, T, heads, d) -> (B, T, heads, d)
at::Tensor sdpa(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale) {
  const at::Tensor out =
      at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), /*attn_mask=*/{},
                                       /*dropout_p=*/0.0, /*is_causal=*/true, scale);
  return out.transpose(1, 2);
}

at::Tensor attention_per_row(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                             double scale) {
  std::vector<at::Tensor> outputs;
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    const std::int64_t start = rows.starts[static_cast<std::size_t>(row)], length = rows.length(row);
    if (length == 0) continue;
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, start, length).unsqueeze(0); };  // (1, T, heads, d)
    outputs.push_back(sdpa(part(q), part(k), part(v), scale).squeeze(0));
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs, 0);
}

/// (N): flat index of every packed token in a padded (R, longest) batch.
at::Tensor padded_index(const RowLayout& rows, at::Device device) {
  const std::int64_t longest = rows.longest();
  std::vector<std::int64_t> index;
  index.reserve(static_cast<std::size_t>(rows.tokens()));
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    for (std::int64_t t = 0; t < rows.length(row); ++t) index.push_back(row * longest + t);
  }
  return index_tensor(index, device);
}

/// @param index  (N), see padded_index
at::Tensor padded_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                            const at::Tensor& index, double scale) {
  const std::int64_t batch = rows.rows(), longest = rows.longest();
  // (N, heads, d) -> (R, longest, heads, d). The gradient of index_put saves only the index, not x.
  const auto pad = [&](const at::Tensor& x) {
    const at::Tensor flat = at::zeros({batch * longest, x.size(1), x.size(2)}, x.options()).index_put({index}, x);
    return flat.view({batch, longest, x.size(1), x.size(2)});
  };
  const at::Tensor out = sdpa(pad(q), repeat_heads(pad(k), q.size(1)), repeat_heads(pad(v), q.size(1)), scale);
  return out.reshape({batch * longest, q.size(1), q.size(2)}).index_select(0, index);
}

/// The kernel handles grouped heads itself.
at::Tensor varlen_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedRows& rows,
                            double scale) {
  const std::int64_t longest = rows.rows.longest();
  return std::get<0>(at::_flash_attention_forward(q, k, v, rows.cu_seqlens, rows.cu_seqlens, longest, longest,
                                                  /*dropout_p=*/0.0, /*is_causal=*/true,
                                                  /*return_debug_mask=*/false, scale));
}

/// What LibTorch's flash attention takes (FlashAttention-2: 16-bit values, heads of at most 256 values, GPUs from
/// Ampere on). Rows of single tokens are left out: it reads them as one batch, in which no row may be empty.
bool varlen_takes(const RowLayout& rows, at::Device device, at::ScalarType type, std::int64_t d) {
  return device.is_cuda() && use_cuda_kernel(CudaKernel::packed_attention) && type == at::kBFloat16 && d % 8 == 0 &&
         d <= 256 && rows.longest() > 1 && cuda_architecture(device) >= 8;
}

}  // namespace

PackedRows pack_rows(const RowLayout& rows, AttentionLayout layout, at::Device device, at::ScalarType type,
                     std::int64_t d) {
  PackedRows result{rows, {}, {}};
  if (layout == AttentionLayout::per_row || rows.tokens() == 0) return result;
  if (varlen_takes(rows, device, type, d)) {
    result.cu_seqlens = index_tensor(rows.starts, device).to(at::kInt);
  } else if (rows.rows() > 1) {
    result.padded_index = padded_index(rows, device);
  }
  return result;
}

at::Tensor torch_kernels::causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                           const PackedRows& rows, double scale) {
  if (rows.cu_seqlens.defined()) return varlen_attention(q, k, v, rows, scale);
  if (rows.padded_index.defined()) return padded_attention(q, k, v, rows.rows, rows.padded_index, scale);
  return attention_per_row(q, repeat_heads(k, q.size(1)), repeat_heads(v, q.size(1)), rows.rows, scale);
}

}  // namespace shine
