#include "decoder/appended_rows.h"

#include <ATen/ATen.h>

#include "kernels/torch/attention.h"
#include "ops/attention.h"

namespace shine {

AppendedRows::AppendedRows(KvCache& cache, const RowLayout& added, const Decoder& decoder)
    : cache_(cache), rows_{added, {}, {}} {
  cache.begin_append(added);
  const DecoderConfig& config = decoder.config();
  bool continued = false;
  for (std::int64_t row = 0; row < cache.rows(); ++row) {
    continued |= added.length(row) > 0 && cache.lengths()[static_cast<std::size_t>(row)] > 0;
  }
  if (continued) {
    plan_.emplace(added, cache.lengths(), config.heads / config.kv_heads,
                  at::TensorOptions().dtype(decoder.dtype()).device(decoder.device()));
  } else {
    rows_ = pack_rows(added, decoder.options().attention, decoder.device(), decoder.dtype(), config.head_dim);
  }
}

at::Tensor AppendedRows::attend(std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                const AttentionOptions& options) {
  cache_.append(layer, k, v);
  return plan_ ? plan_->attend(q, cache_.keys(layer), cache_.values(layer), options)
               : causal_attention(q, k, v, rows_, options);
}

}  // namespace shine
