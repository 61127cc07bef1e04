#pragma once

#include <ATen/core/Tensor.h>

#include "shine/tensor/token_rows.h"

namespace shine {

/// How packed rows are given to LibTorch's attention.
enum class AttentionLayout {
  per_row,  ///< one call a row, nothing padded: best on a CPU
  padded,   ///< one call over right-padded rows, causal, without a mask: best on a GPU
};

inline AttentionLayout best_layout(at::Device device) {
  return device.is_cpu() ? AttentionLayout::per_row : AttentionLayout::padded;
}

/// Packed rows as attention reads them; made once a pass, for all layers.
struct PackedRows {
  RowLayout rows;
  at::Tensor padded_index;  ///< (N), int64, indices into the (R, longest) padded rows; undefined: one call a row
  at::Tensor cu_seqlens;    ///< (R + 1), int32, for a varlen kernel; else undefined
};

}  // namespace shine
