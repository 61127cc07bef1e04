#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "shine/common/api.h"
#include "shine/tensor/attention_options.h"
#include "shine/tensor/packed_rows.h"
#include "shine/tensor/rope_table.h"

namespace shine {

/// Attention of new tokens over the keys and values of their rows' earlier tokens and over their own.
class SHINE_API CachedAttention {
 public:
  virtual ~CachedAttention() = default;

  /// Appends k and v to one layer's cache and returns the attention of q, (N, heads, d). Without gradients.
  /// @param q     (N, heads, d), rotated
  /// @param k, v  (N, kv_heads, d), k rotated
  virtual at::Tensor attend(std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionOptions& options) = 0;
};

/// What every layer of one pass over N tokens reads beside its input.
struct LayerPass {
  PackedRows rows;                    ///< the tokens' rows; not read with a cache
  RopeTable rope;                     ///< of the tokens' positions, (N, 1, d)
  std::vector<std::int64_t> spans;    ///< (B_l + 1) offsets of each adapter's tokens; empty: no LoRA
  CachedAttention* cached = nullptr;  ///< decoding; null: the rows begin with these tokens
};

}  // namespace shine
