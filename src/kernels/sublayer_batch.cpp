#include "kernels/sublayer_batch.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "shine/common/error.h"

namespace shine {

TokenAdapters TokenAdapters::of(const RowLayout& rows, std::int64_t count) {
  if (count == 0) return {};
  return {count, rows.adapter_spans(count), {}};
}

TokenAdapters TokenAdapters::masked(const RowLayout& rows, std::int64_t count, at::Device device, at::ScalarType type) {
  TokenAdapters adapters = of(rows, count);
  if (count < 2) return adapters;
  std::vector<std::int64_t> owners;  // (N)
  for (std::int64_t adapter = 0; adapter < count; ++adapter) {
    owners.resize(static_cast<std::size_t>(adapters.spans[static_cast<std::size_t>(adapter) + 1]), adapter);
  }
  const at::Tensor each = at::arange(count, at::TensorOptions().dtype(at::kLong).device(device));
  adapters.mask = index_tensor(owners, device).unsqueeze(1).eq(each).to(type);
  return adapters;
}

std::shared_ptr<const SublayerBatch> make_sublayer_batch(SublayerBackend backend, const RowLayout& rows,
                                                         const PassShape& shape) {
  SublayerBatch batch;
  batch.rows = rows;
  batch.adapters = shape.masked ? TokenAdapters::masked(rows, shape.adapters, shape.device, shape.type)
                                : TokenAdapters::of(rows, shape.adapters);
  const auto table = [&](at::ScalarType type) {
    return make_rope_table(rows.positions(shape.device), shape.head_dim, shape.rope_theta, type, shape.rope_scaling);
  };
  if (backend == SublayerBackend::torch) {
    batch.rope = table(shape.type);
    batch.attention = pack_rows(rows, shape.attention, shape.device, shape.type, shape.head_dim);
  } else {
    const RopeTable both = table(shape.type == at::kDouble ? at::kDouble : at::kFloat);
    const auto first_half = [&](const at::Tensor& halves) {  // (N, 1, d) -> (N, d / 2)
      return halves.squeeze(1).narrow(1, 0, shape.head_dim / 2).contiguous();
    };
    batch.cos = first_half(both.cos);
    batch.sin = first_half(both.sin);
  }
  return std::make_shared<const SublayerBatch>(std::move(batch));
}

std::shared_ptr<const TokenChoice> choose_tokens(const SublayerBatch& batch, const at::Tensor& positions) {
  TokenChoice chosen;
  chosen.positions = positions;
  TokenAdapters& adapters = chosen.adapters;
  adapters.count = batch.adapters.count;
  if (batch.adapters.mask.defined()) adapters.mask = batch.adapters.mask.index_select(0, positions);
  if (!positions.is_cpu()) {
    if (adapters.count == 1) adapters.spans = {0, positions.size(0)};
    if (adapters.count > 1 && !adapters.mask.defined()) {
      const at::ScalarType type = batch.rope.cos.scalar_type();
      adapters.mask =
          TokenAdapters::masked(batch.rows, adapters.count, positions.device(), type).mask.index_select(0, positions);
    }
    return std::make_shared<const TokenChoice>(std::move(chosen));
  }
  const RowLayout& rows = batch.rows;
  const at::Tensor flat = positions.contiguous();
  const auto* values = flat.const_data_ptr<std::int64_t>();
  chosen.flat.assign(values, values + flat.numel());
  auto next = chosen.flat.begin();
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    const auto end = std::lower_bound(next, chosen.flat.end(), rows.starts[static_cast<std::size_t>(row) + 1]);
    chosen.rows.push(end - next);
    next = end;
  }
  SHINE_CHECK(next == chosen.flat.end() && std::ranges::is_sorted(chosen.flat) &&
                  (chosen.flat.empty() || chosen.flat.front() >= 0),
              ShapeError, "positions of chosen tokens: expected to rise within ", rows.tokens(), " tokens");
  adapters.spans = TokenAdapters::of(chosen.rows, adapters.count).spans;
  return std::make_shared<const TokenChoice>(std::move(chosen));
}

}  // namespace shine
