#pragma once

#include <optional>

#include "ops/cached_attention.h"
#include "shine/decoder/decoder.h"

namespace shine {

/// New tokens that continue the rows of a cache, any number in each row.
class AppendedRows : public CachedAttention {
 public:
  /// Makes room for them; `cache` must outlive this.
  AppendedRows(KvCache& cache, const RowLayout& added, const Decoder& decoder);

  const PackedRows& rows() const { return rows_; }
  at::Tensor attend(std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const AttentionOptions& options) override;

 private:
  KvCache& cache_;
  PackedRows rows_;
  std::optional<CachedAttentionPlan> plan_;  ///< none: every row with new tokens begins with them
};

}  // namespace shine
