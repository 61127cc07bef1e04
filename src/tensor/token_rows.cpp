#include "shine/tensor/token_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::int64_t kNoLabel = -100;

/// Undefined tensors are skipped; undefined if all are.
at::Tensor concatenate_defined(std::vector<at::Tensor> tensors) {
  std::erase_if(tensors, [](const at::Tensor& tensor) { return !tensor.defined(); });
  if (tensors.empty()) return {};
  return tensors.size() == 1 ? tensors.front() : at::cat(tensors);
}

}  // namespace

/// To a GPU through pinned memory.
at::Tensor index_tensor(const std::vector<std::int64_t>& values, at::Device device) {
  const auto options = at::TensorOptions().dtype(at::kLong).pinned_memory(device.is_cuda());
  at::Tensor host = at::empty({static_cast<std::int64_t>(values.size())}, options);
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<std::int64_t>());
  return host.to(device, /*non_blocking=*/true);
}

std::int64_t RowLayout::longest() const {
  std::int64_t result = 0;
  for (std::int64_t row = 0; row < rows(); ++row) result = std::max(result, length(row));
  return result;
}

at::Tensor RowLayout::positions(at::Device device) const {
  std::vector<std::int64_t> values;
  values.reserve(static_cast<std::size_t>(tokens()));
  for (std::int64_t row = 0; row < rows(); ++row) {
    for (std::int64_t position = 0; position < length(row); ++position) values.push_back(position);
  }
  return index_tensor(values, device);
}

std::vector<std::int64_t> RowLayout::adapter_spans(std::int64_t adapters) const {
  SHINE_CHECK(adapters > 0 && rows() % adapters == 0, ShapeError, adapters, " LoRAs cannot be shared evenly by ",
              rows(), " rows");
  const std::int64_t rows_each = rows() / adapters;
  std::vector<std::int64_t> spans;
  for (std::int64_t i = 0; i <= adapters; ++i) spans.push_back(starts[static_cast<std::size_t>(i * rows_each)]);
  return spans;
}

TokenRows TokenRows::pack(const std::vector<std::vector<std::int64_t>>& rows, at::Device device) {
  TokenRows packed;
  std::vector<std::int64_t> flat;
  for (const auto& row : rows) {
    flat.insert(flat.end(), row.begin(), row.end());
    packed.layout.push(static_cast<std::int64_t>(row.size()));
  }
  if (!flat.empty()) {
    const auto [lowest, highest] = std::ranges::minmax(flat);
    packed.lowest = lowest;
    packed.highest = highest;
  }
  packed.ids = index_tensor(flat, device);
  return packed;
}

TokenRows TokenRows::from_padded(const at::Tensor& ids, const at::Tensor& mask) {
  SHINE_CHECK(ids.dim() == 2 && ids.sizes() == mask.sizes(), ShapeError, "padded ids of shape ", ids.sizes(),
              " and a mask of shape ", mask.sizes(), ": expected the same (B, T)");
  TokenRows packed;
  const at::Tensor real = mask.ne(0);
  packed.ids = ids.masked_select(real);  // (N)
  const at::Tensor lengths = real.sum(1).to(at::kCPU);
  for (std::int64_t row = 0; row < ids.size(0); ++row) packed.layout.push(lengths[row].item<std::int64_t>());
  return packed;
}

TokenRows TokenRows::concatenate(const std::vector<TokenRows>& parts) {
  TokenRows all;
  std::vector<at::Tensor> ids;
  bool range_known = true;
  for (const TokenRows& part : parts) {
    ids.push_back(part.ids);
    const bool any = part.layout.tokens() > 0;
    range_known = range_known && (!any || part.lowest <= part.highest);
    if (any && range_known) {
      const bool first = all.highest < all.lowest;
      all.lowest = first ? part.lowest : std::min(all.lowest, part.lowest);
      all.highest = first ? part.highest : std::max(all.highest, part.highest);
    }
    for (std::int64_t row = 0; row < part.layout.rows(); ++row) all.layout.push(part.layout.length(row));
  }
  if (!range_known) {
    all.lowest = 0;
    all.highest = -1;
  }
  all.ids = concatenate_defined(std::move(ids));
  return all;
}

LabelledTokens LabelledTokens::of(const std::vector<std::vector<std::int64_t>>& labels, at::Device device,
                                  std::int64_t softmax_size) {
  std::vector<std::int64_t> positions, targets;
  std::int64_t start = 0;
  for (const auto& row : labels) {
    for (std::size_t t = 1; t < row.size(); ++t) {
      if (row[t] == kNoLabel || row[t] >= softmax_size) continue;
      positions.push_back(start + static_cast<std::int64_t>(t) - 1);
      targets.push_back(row[t]);
    }
    start += static_cast<std::int64_t>(row.size());
  }
  return {index_tensor(positions, device), index_tensor(targets, device)};
}

LabelledTokens LabelledTokens::concatenate(const std::vector<LabelledTokens>& parts,
                                           const std::vector<std::int64_t>& tokens) {
  std::vector<at::Tensor> positions, targets;
  std::int64_t start = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].count() > 0) {
      positions.push_back(start == 0 ? parts[i].positions : parts[i].positions + start);
      targets.push_back(parts[i].targets);
    }
    start += tokens[i];
  }
  return {concatenate_defined(std::move(positions)), concatenate_defined(std::move(targets))};
}

}  // namespace shine
