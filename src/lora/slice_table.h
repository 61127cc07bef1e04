#pragma once

#include "kernels/cuda/lora_slices.h"
#include "shine/lora/lora_layout.h"

namespace shine {

/// The layout as the GPU kernels read it; tensors in the order layer, projection, A, B, C.
/// @param batch  adapters
/// @param block  values of a layer in the vector, not less than the layout needs
cuda::SliceTable make_slice_table(const LoraLayout& layout, std::int64_t batch, std::int64_t block);

}  // namespace shine
