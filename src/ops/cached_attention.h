#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "shine/tensor/attention_options.h"
#include "shine/tensor/token_rows.h"

namespace shine {

/// Which keys the new tokens of R rows see: made once for a batch, read by every layer.
class CachedAttentionPlan {
 public:
  /// @param added    new tokens of each row; a row may have none
  /// @param past     (R): tokens that each row holds before them
  /// @param group    heads / kv_heads
  /// @param options  dtype and device of the queries
  /// Throws ShapeError unless `past` has one value >= 0 per row.
  CachedAttentionPlan(const RowLayout& added, const std::vector<std::int64_t>& past, std::int64_t group,
                      const at::TensorOptions& options);

  /// softmax(q k^T * scale) v: the t-th new token of row i sees the first past[i] + t + 1 keys of its row. Consecutive
  /// rows with one new token each are one batched call; other rows one call each. Heads that share a kv head are
  /// queries of one head: keys and values are read in place. Without gradients.
  /// @param q             (N, heads, d), N new tokens in all, packed
  /// @param keys, values  (R, kv_heads, capacity, d), with the new tokens'
  /// @return              (N, heads, d)
  /// Throws ShapeError for other shapes.
  at::Tensor attend(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                    const AttentionOptions& options) const;

 private:
  /// One call of the kernel.
  struct Part {
    std::int64_t first_row, rows;    ///< consecutive
    std::int64_t first_token, each;  ///< new tokens of each row
    std::int64_t keys;               ///< of the longest row
    at::Tensor mask;                 ///< added to the scores, (rows or 1, 1, group * each or 1, keys); undefined: none
  };

  at::Tensor attend_part(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, const Part& part,
                         const AttentionOptions& options) const;

  std::vector<Part> parts_;
  std::int64_t rows_, tokens_, group_, longest_ = 0;
};

}  // namespace shine
