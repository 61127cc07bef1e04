#pragma once

#include <cstdint>

#include "shine/tensor/raw_tensor.h"

namespace shine {

/// llama.cpp rotates neighbouring numbers of a head in the llama architecture, transformers numbers half a head apart,
/// so its files hold the rows of q and k in another order: row 2 j + h of a head there is row h * head_dim / 2 + j here
/// (h = 0, 1). Both copy a tensor (heads * head_dim, n) with an even head_dim.
RawTensor rows_in_pairs(const RawTensor& tensor, std::int64_t heads);
RawTensor rows_in_halves(const RawTensor& tensor, std::int64_t heads);

}  // namespace shine
