#include "ops/cached_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "ops/attention.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr double kHidden = -std::numeric_limits<double>::infinity();

/// Rows with one new token each, of different lengths: (rows, 1, 1, longest), undefined where all are equally long.
at::Tensor length_mask(const std::vector<std::int64_t>& lengths, std::int64_t longest,
                       const at::TensorOptions& options) {
  if (std::ranges::all_of(lengths, [&](std::int64_t length) { return length == longest; })) return {};
  const at::Tensor masked = at::arange(longest, at::kLong).unsqueeze(0) >= index_tensor(lengths, at::kCPU).unsqueeze(1);
  const at::Tensor mask = at::zeros(masked.sizes(), at::kFloat).masked_fill_(masked, kHidden);
  return aligned_mask(mask.view({-1, 1, 1, longest}).to(options));
}

/// New tokens behind `past` others: (1, 1, group * each, past + each), the same for each of the group.
at::Tensor offset_mask(std::int64_t past, std::int64_t each, std::int64_t group, const at::TensorOptions& options) {
  const at::Tensor mask = at::full({each, past + each}, kHidden, options.dtype(at::kFloat)).triu_(past + 1);
  return aligned_mask(mask.repeat({group, 1}).view({1, 1, group * each, past + each}).to(options));
}

}  // namespace

CachedAttentionPlan::CachedAttentionPlan(const RowLayout& added, const std::vector<std::int64_t>& past,
                                         std::int64_t group, const at::TensorOptions& options)
    : rows_(added.rows()), tokens_(added.tokens()), group_(group) {
  SHINE_CHECK(static_cast<std::int64_t>(past.size()) == rows_ && group > 0 &&
                  std::ranges::all_of(past, [](std::int64_t length) { return length >= 0; }),
              ShapeError, "cached attention: past lengths ", join(past, ", "), " for ", rows_, " rows");
  for (std::int64_t row = 0; row < rows_;) {
    const std::int64_t first = row, each = added.length(first);
    std::vector<std::int64_t> lengths;
    do {
      lengths.push_back(past[static_cast<std::size_t>(row)] + each);
      ++row;
    } while (row < rows_ && each == 1 && added.length(row) == 1);
    if (each == 0) continue;
    const std::int64_t longest = *std::ranges::max_element(lengths);
    longest_ = std::max(longest_, longest);
    parts_.push_back(
        {first, row - first, added.starts[static_cast<std::size_t>(first)], each, longest,
         each == 1 ? length_mask(lengths, longest, options) : offset_mask(longest - each, each, group, options)});
  }
}

at::Tensor CachedAttentionPlan::attend_part(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                                            const Part& part, const AttentionOptions& options) const {
  const std::int64_t kv_heads = keys.size(1), d = q.size(2);
  const auto cached = [&](const at::Tensor& all) {  // (rows, kv_heads, longest, d)
    return all.narrow(0, part.first_row, part.rows).narrow(2, 0, part.keys);
  };
  const at::Tensor queries = q.narrow(0, part.first_token, part.rows * part.each)
                                 .view({part.rows, part.each, kv_heads, group_, d})
                                 .permute({0, 2, 3, 1, 4})
                                 .reshape({part.rows, kv_heads, group_ * part.each, d});
  const at::Tensor out = attention(queries, cached(keys), cached(values), part.mask, options);
  return out.reshape({part.rows, kv_heads, group_, part.each, d})
      .permute({0, 3, 1, 2, 4})
      .reshape({part.rows * part.each, kv_heads * group_, d});
}

at::Tensor CachedAttentionPlan::attend(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                                       const AttentionOptions& options) const {
  const bool fits = q.dim() == 3 && keys.dim() == 4 && keys.sizes() == values.sizes() && q.size(0) == tokens_ &&
                    keys.size(0) == rows_ && keys.size(1) * group_ == q.size(1) && keys.size(2) >= longest_ &&
                    keys.size(3) == q.size(2);
  SHINE_CHECK(fits, ShapeError, "cached attention: q ", q.sizes(), ", keys ", keys.sizes(), ", values ", values.sizes(),
              ": expected (", tokens_, ", ", group_, " * kv_heads, d) and twice (", rows_, ", kv_heads, at least ",
              longest_, ", d)");
  const at::NoGradGuard no_grad;
  if (parts_.empty()) return at::empty_like(q);
  if (parts_.size() == 1) return attend_part(q, keys, values, parts_[0], options);
  std::vector<at::Tensor> outputs;
  for (const Part& part : parts_) outputs.push_back(attend_part(q, keys, values, part, options));
  return at::cat(outputs, 0);
}

}  // namespace shine
