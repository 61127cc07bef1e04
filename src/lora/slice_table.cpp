#include "lora/slice_table.h"

#include <cmath>

namespace shine {

cuda::SliceTable make_slice_table(const LoraLayout& layout, std::int64_t batch, std::int64_t block) {
  const bool a_by_rank = layout.method == LoraMethod::lr || layout.method == LoraMethod::ll;
  const bool b_by_output = layout.method == LoraMethod::rr || layout.method == LoraMethod::lr;
  const auto root = static_cast<float>(std::sqrt(layout.scale)), whole = static_cast<float>(layout.scale);
  cuda::SliceTable table;
  table.batch = batch;
  table.layers = layout.spec.layers;
  table.block = block;
  const auto add = [&](std::int64_t rows, std::int64_t columns, bool transposed, bool is_vector) {
    table.slices[table.count++] = {table.used, rows, columns, transposed, is_vector, is_vector ? whole : root};
    table.used += rows * columns;
  };
  for (const Projection p : kProjections) {
    const ProjectionSpec& sizes = layout.spec[p];
    add(sizes.in, layout.rank, a_by_rank, /*is_vector=*/false);
    add(layout.rank, sizes.out, b_by_output, /*is_vector=*/false);
    if (sizes.has_bias) add(1, sizes.out, /*transposed=*/false, /*is_vector=*/true);
  }
  return table;
}

}  // namespace shine
