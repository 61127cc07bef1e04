#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// Throws ShapeError for a tensor that collectives do not take: not contiguous, or of a type that ProcessGroup does not
/// name.
void check_collective(const at::Tensor& tensor);

/// The same for both, and for a whole that is not `ranks` times the piece.
void check_pieces(const at::Tensor& whole, const at::Tensor& piece, int ranks);

}  // namespace shine
