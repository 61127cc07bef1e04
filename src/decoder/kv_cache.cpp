#include "shine/decoder/kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "shine/common/error.h"
#include "shine/decoder/decoder_layer.h"

namespace shine {
namespace {

constexpr std::int64_t kFirstCapacity = 64;

}  // namespace

KvCache::KvCache(const DecoderConfig& config, std::int64_t rows, const at::TensorOptions& options)
    : config_(config), options_(options) {
  SHINE_CHECK(rows > 0, ShapeError, "a key/value cache of ", rows, " rows");
  lengths_.resize(static_cast<std::size_t>(rows));
  keys_.resize(static_cast<std::size_t>(config.layers));
  values_.resize(static_cast<std::size_t>(config.layers));
}

void KvCache::truncate(std::int64_t row, std::int64_t length) {
  std::int64_t& held = lengths_.at(static_cast<std::size_t>(row));
  SHINE_CHECK(length >= 0 && length <= held, ShapeError, "key/value cache: row ", row, " cut to ", length,
              " tokens, it holds ", held);
  held = length;
}

void KvCache::grow(std::int64_t needed) {
  const c10::InferenceMode inference;
  config_.check_row(needed);
  std::int64_t capacity = std::max({needed, 2 * capacity_, kFirstCapacity});
  if (config_.max_positions > 0) capacity = std::max(needed, std::min(capacity, config_.max_positions));
  // Zeros, not what memory happens to hold: a place that is masked out is still multiplied by a weight of zero.
  const auto enlarge = [&](at::Tensor& tensor) {
    const at::Tensor larger = at::zeros({rows(), config_.kv_heads, capacity, config_.head_dim}, options_);
    if (tensor.defined()) larger.narrow(2, 0, capacity_).copy_(tensor);
    tensor = larger;
  };
  for (at::Tensor& tensor : keys_) enlarge(tensor);
  for (at::Tensor& tensor : values_) enlarge(tensor);
  const at::Tensor positions = at::arange(capacity, at::TensorOptions().dtype(at::kLong).device(options_.device()));
  rope_ = rope_table_of(config_, positions, c10::typeMetaToScalarType(options_.dtype()));
  capacity_ = capacity;
}

void KvCache::reserve(std::int64_t places) {
  if (places > capacity_) grow(places);
}

void KvCache::count_appended(std::int64_t row) {
  std::int64_t& held = lengths_.at(static_cast<std::size_t>(row));
  SHINE_CHECK(held < capacity_, ShapeError, "key/value cache: row ", row, " holds ", held, " tokens and has no place");
  ++held;
}

void KvCache::begin_append(const RowLayout& added) {
  SHINE_CHECK(added.rows() == rows(), ShapeError, "key/value cache of ", rows(), " rows: new tokens for ", added.rows(),
              " rows");
  const c10::InferenceMode inference;
  std::int64_t needed = 0;
  for (std::int64_t row = 0; row < rows(); ++row) {
    needed = std::max(needed, lengths_[static_cast<std::size_t>(row)] + added.length(row));
  }
  if (needed > capacity_) grow(needed);
  std::vector<std::int64_t> positions, places;
  for (std::int64_t row = 0; row < rows(); ++row) {
    for (std::int64_t t = 0; t < added.length(row); ++t) {
      positions.push_back(lengths_[static_cast<std::size_t>(row)] + t);
      for (std::int64_t head = 0; head < config_.kv_heads; ++head) {
        places.push_back((row * config_.kv_heads + head) * capacity_ + positions.back());
      }
    }
  }
  const at::Tensor index = index_tensor(positions, options_.device());
  added_rope_ = {rope_.cos.index_select(0, index), rope_.sin.index_select(0, index)};
  added_places_ = index_tensor(places, options_.device());
  added_ = added;
}

void KvCache::append(std::int64_t layer, const at::Tensor& keys, const at::Tensor& values) {
  const c10::InferenceMode inference;
  const std::array<std::int64_t, 3> expected{added_.tokens(), config_.kv_heads, config_.head_dim};
  SHINE_CHECK(keys.sizes() == at::IntArrayRef(expected) && values.sizes() == keys.sizes(), ShapeError,
              "key/value cache: keys ", keys.sizes(), ", values ", values.sizes(), ": expected twice ",
              at::IntArrayRef(expected));
  const auto put = [&](const at::Tensor& all, const at::Tensor& added) {
    all.view({-1, config_.head_dim}).index_copy_(0, added_places_, added.reshape({-1, config_.head_dim}));
  };
  put(keys_[static_cast<std::size_t>(layer)], keys);
  put(values_[static_cast<std::size_t>(layer)], values);
}

void KvCache::end_append() {
  for (std::int64_t row = 0; row < rows(); ++row) lengths_[static_cast<std::size_t>(row)] += added_.length(row);
  added_ = {};
}

}  // namespace shine
