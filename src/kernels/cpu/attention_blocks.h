#pragma once

// Shared by the forward and the backward of the attention.

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/block_product.h"
#include "kernels/cpu/tasks.h"

namespace shine::cpu {

/// Keys of a block of scores: with 64 queries the block lies in the second cache beside its operands.
inline constexpr std::int64_t kKeys = 128;

template <class T>
inline constexpr at::ScalarType kType = sizeof(T) == 2 ? at::kBFloat16 : (sizeof(T) == 4 ? at::kFloat : at::kDouble);
template <class T>
inline constexpr bool kPaired = sizeof(T) == sizeof(Bf16);

/// A key count as the inner dimension of a product.
template <class T>
std::int64_t inner(std::int64_t count) {
  return padded_inner(count, kType<T>);
}

/// Up to kColumns queries of one row, one after another.
struct QueryBlock {
  std::int64_t row = 0, first = 0, count = 0;  ///< first: flat number of a query
  std::int64_t keys = 0;                       ///< that its last query sees
};

/// The place of a query in its row.
inline std::int64_t place(const AttentionRows& rows, std::int64_t row, std::int64_t query) {
  if (!rows.positions.empty()) return rows.positions[static_cast<std::size_t>(query)];
  return query - rows.queries.starts[static_cast<std::size_t>(row)];
}

inline std::vector<QueryBlock> query_blocks(const AttentionRows& rows, std::int64_t row) {
  std::vector<QueryBlock> blocks;
  const std::int64_t start = rows.queries.starts[static_cast<std::size_t>(row)], end = start + rows.queries.length(row);
  for (std::int64_t first = start; first < end; first += kColumns) {
    const std::int64_t count = std::min(kColumns, end - first);
    blocks.push_back({row, first, count, place(rows, row, first + count - 1) + 1});
  }
  return blocks;
}

/// The operands of one call, as values.
template <class T>
struct Operands {
  const AttentionRows& rows;
  const AttentionHeads& heads;
  const T *q, *k, *v;
  std::int64_t d, ld_q, ld_kv, group;

  Operands(const at::Tensor& q_, const at::Tensor& k_, const at::Tensor& v_, const AttentionRows& rows_,
           const AttentionHeads& heads_)
      : rows(rows_),
        heads(heads_),
        q(data<T>(q_)),
        k(data<T>(k_)),
        v(data<T>(v_)),
        d(heads_.d),
        ld_q(heads_.heads * heads_.d),
        ld_kv(heads_.kv_heads * heads_.d),
        group(heads_.heads / heads_.kv_heads) {}

  /// Offset of a query's or a key's values.
  std::int64_t at_query(std::int64_t query, std::int64_t head) const { return query * ld_q + head * d; }
  std::int64_t at_key(std::int64_t row, std::int64_t key, std::int64_t kv_head) const {
    return (rows.keys.starts[static_cast<std::size_t>(row)] + key) * ld_kv + kv_head * d;
  }
};

/// Keys or values of every kv head transposed: tiles (d, kKeys) of kKeys tokens of a row.
template <class T>
class TransposedTiles {
 public:
  TransposedTiles(const Operands<T>& in, const T* from) : kv_heads_(in.heads.kv_heads), size_(in.d * kKeys) {
    std::vector<std::pair<std::int64_t, std::int64_t>> tiles;  // row, first key
    for (std::int64_t row = 0; row < in.rows.keys.rows(); ++row) {
      first_.push_back(static_cast<std::int64_t>(tiles.size()));
      for (std::int64_t key = 0; key < in.rows.keys.length(row); key += kKeys) tiles.emplace_back(row, key);
    }
    const auto count = static_cast<std::int64_t>(tiles.size()) * kv_heads_;
    memory_ = at::empty({count * size_}, kType<T>);
    run_tasks(count, [&](std::int64_t task, std::int64_t /*worker*/) {
      const auto [row, key] = tiles[static_cast<std::size_t>(task / kv_heads_)];
      const std::int64_t length = std::min(kKeys, in.rows.keys.length(row) - key);
      transpose_block(length, in.d, from + in.at_key(row, key, task % kv_heads_), in.ld_kv,
                      mutable_data<T>(memory_) + task * size_, kKeys);
    });
  }

  const T* at(std::int64_t row, std::int64_t key, std::int64_t kv_head) const {
    const std::int64_t tile = first_[static_cast<std::size_t>(row)] + key / kKeys;
    return data<T>(memory_) + (tile * kv_heads_ + kv_head) * size_;
  }

 private:
  std::int64_t kv_heads_, size_;
  std::vector<std::int64_t> first_;  ///< tile of each row
  at::Tensor memory_;
};

/// A value for each column of a block.
template <class W>
using ColumnValues = std::array<W, kColumns>;

/// The last key that each query of the block sees.
template <class W>
void write_last(const AttentionRows& rows, const QueryBlock& block, ColumnValues<W>& last) {
  for (std::int64_t i = 0; i < kColumns; ++i) {
    last[static_cast<std::size_t>(i)] =
        i < block.count ? static_cast<W>(place(rows, block.row, block.first + i)) : W(-1);
  }
}

template <class T>
ScoreBlock<Wide<T>> score_block(const Operands<T>& in, const QueryBlock& block, const ColumnValues<Wide<T>>& last,
                                std::int64_t key) {
  using W = Wide<T>;
  const std::int64_t keys = std::min(kKeys, block.keys - key);
  const bool all_seen = static_cast<W>(key + keys - 1) <= last[0];
  return {.keys = keys,
          .columns = padded_columns(block.count),
          .scale = static_cast<W>(in.heads.scale),
          .last = all_seen ? nullptr : last.data(),
          .first_key = key};
}

/// Sizes of scores^T (keys, columns) = keys (keys, d) queries^T (d, columns).
template <class T>
ProductSizes score_sizes(const Operands<T>& in, const ScoreBlock<Wide<T>>& block) {
  return {.m = block.keys, .n = block.columns, .k = in.d, .lda = in.ld_kv, .ldb = kColumns, .ldc = kColumns};
}

/// Sizes of x^T (d, columns) += tile (d, keys) of TransposedTiles * weights (keys, columns).
template <class T>
ProductSizes sum_sizes(const Operands<T>& in, const ScoreBlock<Wide<T>>& block, bool accumulate) {
  return {.m = in.d,
          .n = block.columns,
          .k = inner<T>(block.keys),
          .lda = kKeys,
          .ldb = kColumns,
          .ldc = kColumns,
          .accumulate = accumulate};
}

}  // namespace shine::cpu
