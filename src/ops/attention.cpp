#include "shine/ops/attention.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <limits>

#include "cpu/attention_engine.h"
#include "cpu/block_product.h"
#include "cuda_ops.h"
#include "shine/common/error.h"
#include "shine/ops/fused.h"

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

at::Tensor attend_per_row(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
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

/// Flat index (N) of every packed token inside a (R, longest) padded batch.
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
at::Tensor attend_padded(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                         const at::Tensor& index, double scale) {
  const std::int64_t batch = rows.rows(), longest = rows.longest();
  // (N, heads, d) -> (R, longest, heads, d). The gradient of index_put keeps the index alone, not x.
  const auto pad = [&](const at::Tensor& x) {
    const at::Tensor flat = at::zeros({batch * longest, x.size(1), x.size(2)}, x.options()).index_put({index}, x);
    return flat.view({batch, longest, x.size(1), x.size(2)});
  };
  const at::Tensor out = sdpa(pad(q), repeat_heads(pad(k), q.size(1)), repeat_heads(pad(v), q.size(1)), scale);
  return out.reshape({batch * longest, q.size(1), q.size(2)}).index_select(0, index);
}

/// Grouped heads are the kernel's own.
at::Tensor attend_packed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PreparedRows& rows,
                         double scale) {
  const std::int64_t longest = rows.rows.longest();
  return std::get<0>(at::_flash_attention_forward(q, k, v, rows.offsets, rows.offsets, longest, longest,
                                                  /*dropout_p=*/0.0, /*is_causal=*/true,
                                                  /*return_debug_mask=*/false, scale));
}

/// What LibTorch's flash attention takes (FlashAttention-2: 16-bit values, heads of at most 256 values, GPUs from
/// Ampere on). Rows of single tokens are left out: it reads them as one batch, in which no row may be empty.
bool packed_attention_takes(const RowLayout& rows, at::Device device, at::ScalarType type, std::int64_t d) {
  return device.is_cuda() && use_cuda_kernel(CudaKernel::packed_attention) && type == at::kBFloat16 && d % 8 == 0 &&
         d <= 256 && rows.longest() > 1 && cuda_architecture(device) >= 8;
}

/// Whether the CPU engine serves: it has no autograd of its own, and in float64 it is for checks.
bool engine_takes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const at::ScalarType type = q.scalar_type();
  return c10::InferenceMode::is_enabled() && q.is_cpu() && use_cpu_engine() && type != at::kDouble &&
         cpu::engine_runs(type) && k.scalar_type() == type && v.scalar_type() == type && q.size(2) % 2 == 0;
}

at::Tensor attend_by_engine(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                            double scale) {
  const auto flat = [](const at::Tensor& x) { return x.reshape({x.size(0), x.size(1) * x.size(2)}).contiguous(); };
  return cpu::attention_forward(flat(q), flat(k), flat(v), {.keys = rows, .queries = rows, .positions = {}},
                                {q.size(1), k.size(1), q.size(2), scale})
      .out.view(q.sizes());
}

void check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows) {
  const bool fits = q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == rows.tokens() &&
                    k.size(0) == q.size(0) && k.size(2) == q.size(2) && k.size(1) > 0 && q.size(1) % k.size(1) == 0;
  SHINE_CHECK(fits, ShapeError, "attention: q ", q.sizes(), ", k ", k.sizes(), ", v ", v.sizes(), ", rows of ",
              rows.tokens(), " tokens: expected (N, heads, d) and twice (N, kv_heads, d)");
}

}  // namespace

PreparedRows prepare_rows(const RowLayout& rows, AttentionLayout layout, at::Device device, at::ScalarType type,
                          std::int64_t d) {
  PreparedRows result{rows, {}, {}};
  if (layout == AttentionLayout::per_row || rows.tokens() == 0) return result;
  if (packed_attention_takes(rows, device, type, d)) {
    result.offsets = index_tensor(rows.starts, device).to(at::kInt);
  } else if (rows.rows() > 1) {
    result.places = padded_index(rows, device);
  }
  return result;
}

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PreparedRows& rows,
                            double scale) {
  check(q, k, v, rows.rows);
  if (rows.rows.tokens() == 0) return q.clone();
  if (engine_takes(q, k, v)) return attend_by_engine(q, k, v, rows.rows, scale);
  if (rows.offsets.defined()) return attend_packed(q, k, v, rows, scale);
  if (rows.places.defined()) return attend_padded(q, k, v, rows.rows, rows.places, scale);
  return attend_per_row(q, repeat_heads(k, q.size(1)), repeat_heads(v, q.size(1)), rows.rows, scale);
}

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                            double scale, AttentionLayout layout) {
  check(q, k, v, rows);
  return causal_attention(q, k, v, prepare_rows(rows, layout, q.device(), q.scalar_type(), q.size(2)), scale);
}

at::Tensor causal_attention_plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                                  double scale) {
  const at::Tensor all_k = repeat_heads(k, q.size(1)), all_v = repeat_heads(v, q.size(1));
  std::vector<at::Tensor> outputs;
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    const std::int64_t start = rows.starts[static_cast<std::size_t>(row)], length = rows.length(row);
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, start, length).transpose(0, 1); };  // (heads, T, d)
    const at::Tensor hidden_future = at::ones({length, length}, q.options().dtype(at::kBool)).triu(1);
    const at::Tensor scores = at::matmul(part(q), part(all_k).transpose(1, 2)) * scale;  // (heads, T, T)
    const at::Tensor weights =
        at::softmax(scores.masked_fill(hidden_future, -std::numeric_limits<double>::infinity()), -1);
    outputs.push_back(at::matmul(weights, part(all_v)).transpose(0, 1));
  }
  return at::cat(outputs, 0);
}

}  // namespace shine
