#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace shine {

/// A part of every row of a matrix and a contiguous tensor of the same values times a factor, in the part's order or,
/// as (B, rows, columns), with the last two dimensions exchanged.
struct SliceCopy {
  std::int64_t start = 0;  ///< in a row of the matrix
  std::int64_t rows = 0, columns = 0;
  bool transposed = false;  ///< the tensor is (B, columns, rows)
  double factor = 1.0;
  at::Tensor tensor;  ///< contiguous
};

/// Whether the two below take such a matrix: contiguous, float32 or float64, on the CPU.
bool slice_copies_run(const at::Tensor& matrix);

/// Fills the tensors from the matrix, one pass over memory for all.
void copy_from_matrix(const at::Tensor& matrix, const std::vector<SliceCopy>& copies);

/// The reverse: fills the parts of the matrix; what lies between them is left as it is.
void copy_to_matrix(const std::vector<SliceCopy>& copies, const at::Tensor& matrix);

}  // namespace shine
