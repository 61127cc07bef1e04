#include "lora/slice_copies.h"

#include <ATen/ATen.h>

#include "kernels/cpu/tasks.h"

namespace shine {
namespace {

/// to (columns, rows) = from (rows, columns) transposed, times factor.
template <class T>
void scale_transposed(std::int64_t rows, std::int64_t columns, const T* from, T factor, T* to) {
  for (std::int64_t column = 0; column < columns; ++column, to += rows) {
    for (std::int64_t row = 0; row < rows; ++row) to[row] = from[row * columns + column] * factor;
  }
}

template <class T>
void scale(std::int64_t count, const T* from, T factor, T* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = from[i] * factor;
}

/// Calls f(copy, matrix part, tensor part) for every slice of every row, in parallel.
template <class T, class Function>
void for_parts(const at::Tensor& matrix, const std::vector<SliceCopy>& copies, const Function& f) {
  auto* values = static_cast<T*>(matrix.data_ptr());
  const std::int64_t batch = matrix.size(0), width = matrix.size(1), count = static_cast<std::int64_t>(copies.size());
  cpu::parallel_for(0, batch * count, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const SliceCopy& copy = copies[static_cast<std::size_t>(i % count)];
      const std::int64_t row = i / count;
      f(copy, values + row * width + copy.start,
        static_cast<T*>(copy.tensor.data_ptr()) + row * copy.rows * copy.columns);
    }
  });
}

template <class Function>
void with_type(const at::Tensor& matrix, const Function& f) {
  if (matrix.scalar_type() == at::kDouble) return f(double{});
  f(float{});
}

}  // namespace

bool slice_copies_run(const at::Tensor& matrix) {
  const bool typed = matrix.scalar_type() == at::kFloat || matrix.scalar_type() == at::kDouble;
  return matrix.device().is_cpu() && typed && matrix.is_contiguous();
}

void copy_from_matrix(const at::Tensor& matrix, const std::vector<SliceCopy>& copies) {
  with_type(matrix, [&](auto kind) {
    using T = decltype(kind);
    for_parts<T>(matrix, copies, [](const SliceCopy& copy, const T* part, T* tensor) {
      const auto factor = static_cast<T>(copy.factor);
      if (copy.transposed) return scale_transposed(copy.rows, copy.columns, part, factor, tensor);
      scale(copy.rows * copy.columns, part, factor, tensor);
    });
  });
}

void copy_to_matrix(const std::vector<SliceCopy>& copies, const at::Tensor& matrix) {
  with_type(matrix, [&](auto kind) {
    using T = decltype(kind);
    for_parts<T>(matrix, copies, [](const SliceCopy& copy, T* part, const T* tensor) {
      const auto factor = static_cast<T>(copy.factor);
      if (copy.transposed) return scale_transposed(copy.columns, copy.rows, tensor, factor, part);
      scale(copy.rows * copy.columns, tensor, factor, part);
    });
  });
}

}  // namespace shine
