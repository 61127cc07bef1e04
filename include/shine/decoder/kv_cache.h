#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "shine/common/api.h"
#include "shine/decoder/decoder_config.h"
#include "shine/tensor/rope_table.h"
#include "shine/tensor/token_rows.h"

namespace shine {

/// Keys (rotated) and values of the tokens of R rows so far, for every layer. They belong to one decoder and one
/// adapter: a row must not continue with another. Without gradients.
class SHINE_API KvCache {
 public:
  /// Holds nothing at first and allocates nothing.
  /// @param options  dtype and device of the decoder
  KvCache(const DecoderConfig& config, std::int64_t rows, const at::TensorOptions& options);

  std::int64_t rows() const { return static_cast<std::int64_t>(lengths_.size()); }
  std::int64_t kv_heads() const { return config_.kv_heads; }
  /// Tokens that a row can hold before memory is allocated anew; grows geometrically.
  std::int64_t capacity() const { return capacity_; }
  const std::vector<std::int64_t>& lengths() const { return lengths_; }

  /// Forgets what row `row` holds behind its first `length` tokens. Throws ShapeError if it holds fewer.
  void truncate(std::int64_t row, std::int64_t length);

  /// Makes room for at least `places` tokens in every row: until a row needs more, nothing is allocated or moved.
  void reserve(std::int64_t places);

  /// Counts one more token in row `row`, whose keys and values have been written behind its last one in all layers.
  /// Throws ShapeError if the row is full.
  void count_appended(std::int64_t row);

  /// Makes room for `added.length(i)` new tokens behind row i. They count from end_append on: an
  /// exception in between leaves the cache unchanged. Throws ShapeError unless `added` has R rows.
  void begin_append(const RowLayout& added);

  /// The new tokens of one layer: both (N, kv_heads, d), packed as `added`.
  void append(std::int64_t layer, const at::Tensor& keys, const at::Tensor& values);

  void end_append();

  /// Rotation of the new tokens: their positions go on from each row's length.
  const RopeTable& added_rope() const { return added_rope_; }

  /// Rotation at every place, (capacity, 1, d).
  const RopeTable& rope() const { return rope_; }

  /// (R, kv_heads, capacity, d); row i has set its first lengths()[i] places, and those of its new tokens. All others
  /// are finite.
  const at::Tensor& keys(std::int64_t layer) const { return keys_[static_cast<std::size_t>(layer)]; }
  const at::Tensor& values(std::int64_t layer) const { return values_[static_cast<std::size_t>(layer)]; }

 private:
  void grow(std::int64_t needed);

  DecoderConfig config_;
  at::TensorOptions options_;
  std::int64_t capacity_ = 0;
  std::vector<std::int64_t> lengths_;
  std::vector<at::Tensor> keys_, values_;  ///< per layer
  RopeTable rope_;                         ///< of all places
  RowLayout added_;
  RopeTable added_rope_;
  at::Tensor added_places_;  ///< (N * kv_heads): flat index of each new vector in (R * kv_heads * capacity)
};

}  // namespace shine
