#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define SHINE_HOST_DEVICE __host__ __device__
#else
#define SHINE_HOST_DEVICE
#endif

namespace shine::cuda {

/// One tensor (rows, columns) of a layer's LoRA inside the layer's part of the generated vector.
struct LoraSlice {
  std::int64_t start;          ///< in the layer's part; the next slice begins where this one ends
  std::int64_t rows, columns;  ///< of the tensor
  bool transposed;             ///< the vector holds it column after column
  bool is_vector;              ///< C, of one row: (batch, columns)
  float factor;

  SHINE_HOST_DEVICE std::int64_t numel() const { return rows * columns; }
};

/// Where each value of the vector (batch, layers * block) goes. All layers are alike: `count` slices fill the first
/// `used` values of a layer's `block`. Tensor number layer * count + slice holds (batch, rows, columns), and the
/// tensors lie one behind the other in that order.
struct SliceTable {
  static constexpr int capacity = 21;  ///< seven projections with A, B and C

  std::int64_t batch = 0, layers = 0, block = 0, used = 0;
  int count = 0;
  LoraSlice slices[capacity];

  SHINE_HOST_DEVICE std::int64_t tensor_values() const { return batch * layers * used; }
  SHINE_HOST_DEVICE std::int64_t vector_values() const { return batch * layers * block; }

  /// The slice that holds value `place` < used of a layer.
  SHINE_HOST_DEVICE int slice_at(std::int64_t place) const {
    int slice = 0;
    while (slice + 1 < count && slices[slice + 1].start <= place) ++slice;
    return slice;
  }

  /// Where tensor (layer, slice) begins among the tensors' values.
  SHINE_HOST_DEVICE std::int64_t tensor_begin(std::int64_t layer, int slice) const {
    return batch * (layer * used + slices[slice].start);
  }
};

/// A value of the tensors, and the value of the vector it is made from.
struct TensorPlace {
  int slice;
  std::int64_t source;  ///< in the vector
};

/// @param index  in the tensors' values
SHINE_HOST_DEVICE inline TensorPlace tensor_place(const SliceTable& table, std::int64_t index) {
  const std::int64_t layer = index / (table.batch * table.used), in_layer = index % (table.batch * table.used);
  const int number = table.slice_at(in_layer / table.batch);
  const LoraSlice& slice = table.slices[number];
  const std::int64_t inside = in_layer - table.batch * slice.start;
  const std::int64_t sample = inside / slice.numel(), place = inside % slice.numel();
  const std::int64_t row = place / slice.columns, column = place % slice.columns;
  const std::int64_t local = slice.transposed ? column * slice.rows + row : place;
  return {number, (sample * table.layers + layer) * table.block + slice.start + local};
}

/// A value of the vector, and the value of the tensor it goes to; slice -1: of none.
struct VectorPlace {
  int slice;
  std::int64_t tensor;  ///< number of the tensor: layer * count + slice
  std::int64_t place;   ///< in the tensor
};

/// @param index  in the vector
SHINE_HOST_DEVICE inline VectorPlace vector_place(const SliceTable& table, std::int64_t index) {
  const std::int64_t within = index % table.block, block = index / table.block;
  if (within >= table.used) return {-1, 0, 0};
  const std::int64_t layer = block % table.layers, sample = block / table.layers;
  const int number = table.slice_at(within);
  const LoraSlice& slice = table.slices[number];
  const std::int64_t local = within - slice.start;
  const std::int64_t place = slice.transposed ? local % slice.rows * slice.columns + local / slice.rows : local;
  return {number, layer * table.count + number, sample * slice.numel() + place};
}

}  // namespace shine::cuda
