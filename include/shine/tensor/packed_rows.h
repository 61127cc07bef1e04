#pragma once

#include <ATen/core/Tensor.h>

#include "shine/tensor/token_rows.h"

namespace shine {

/// How the packed rows meet LibTorch's attention.
enum class AttentionLayout {
  per_row,  ///< one call a row, nothing padded: best on a CPU
  padded,   ///< one call over right-padded rows, causal, without a mask: best on a GPU
};

inline AttentionLayout best_layout(at::Device device) {
  return device.is_cpu() ? AttentionLayout::per_row : AttentionLayout::padded;
}

/// Rows as the attention of all layers of a pass reads them, made once.
struct PackedRows {
  RowLayout rows;
  at::Tensor padded_index;  ///< (N), int64, of each token among (R, longest) padded ones; undefined: one call a row
  at::Tensor cu_seqlens;    ///< (R + 1), int32, for a kernel of variable lengths; else undefined
};

}  // namespace shine
