#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// Throws ShapeError for a tensor that no collective takes: not contiguous, or of another type than ProcessGroup names.
void check_collective(const at::Tensor& tensor);

/// The same of both, and for a whole that is not made of `ranks` pieces like this one.
void check_pieces(const at::Tensor& whole, const at::Tensor& piece, int ranks);

}  // namespace shine
