#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>

#include "kernels/cpu/block_product.h"
#include "kernels/cpu/encoder_kernels.h"
#include "kernels/cpu/row_kernels.h"

// Products with weights that are trained, whose values change with every step: y = x W^T, dx = dy W, dW = dy^T x.

namespace shine::cpu {

/// Uninitialised memory, freed when this object goes: for one task, or for a whole pass (Scratch would hold on to it).
template <class T>
class Workspace {
 public:
  explicit Workspace(std::int64_t count)
      : memory_(c10::GetCPUAllocator()->allocate(static_cast<std::size_t>(count) * sizeof(T))) {}
  T* data() const { return static_cast<T*>(memory_.get()); }

 private:
  c10::DataPtr memory_;
};

/// W (out, in) float32 or float64 -> W^T as right operand, (in, out); `in` is even for bfloat16.
at::Tensor pack_transposed_weight(const at::Tensor& weight, at::ScalarType type);

/// W (out, in) as right operand as it lies; `out` is even for bfloat16.
at::Tensor pack_weight(const at::Tensor& weight, at::ScalarType type);

/// Rows of the right operand of a product over all rows (see weight_gradient), filled block by block. For types other
/// than bfloat16 the rows themselves serve, and nothing is copied.
template <class T>
class RowOperand {
 public:
  RowOperand(std::int64_t rows, std::int64_t width, const T* rows_themselves)
      : width_(width), own_(sizeof(T) == sizeof(Bf16) ? (rows + 1) / 2 * 2 * width : 0), rows_(rows_themselves) {}
  void set(std::int64_t first, std::int64_t count, const T* rows) const {
    if constexpr (sizeof(T) == sizeof(Bf16)) pair_rows(count, width_, rows, width_, own_.data() + first * width_);
  }
  const T* data() const { return sizeof(T) == sizeof(Bf16) ? own_.data() : rows_; }

 private:
  std::int64_t width_;
  Workspace<T> own_;
  const T* rows_;
};

struct WeightGradient {
  at::Tensor weight;  ///< (out, in), float32 (float64 for double)
  at::Tensor bias;    ///< (out)
};

/// dy^T x and the sum of dy over its rows. Each part is made by one thread: the same bits for any number of threads.
/// @param dy  (rows, out)
/// @param x   (rows, in) as right operand, see RowOperand
template <class T>
WeightGradient weight_gradient(std::int64_t rows, std::int64_t out, std::int64_t in, const T* dy, const T* x);

/// Blocks of rows in groups, at most 32 of them: sums are made by group, so that they do not depend on the threads.
struct BlockGroups {
  explicit BlockGroups(std::int64_t row_count)
      : rows(row_count),
        blocks((row_count + kBlockRows - 1) / kBlockRows),
        groups(std::min<std::int64_t>(blocks, 32)) {}

  /// Calls f(group, first row, number of rows) for the blocks of [first_group, last_group), in order.
  template <class Function>
  void for_blocks(std::int64_t first_group, std::int64_t last_group, const Function& f) const {
    for (std::int64_t group = first_group; group < last_group; ++group) {
      for (std::int64_t block = blocks * group / groups; block < blocks * (group + 1) / groups; ++block) {
        const std::int64_t first = block * kBlockRows;
        f(group, first, std::min(kBlockRows, rows - first));
      }
    }
  }

  std::int64_t rows, blocks, groups;
};

/// The rows as operands: themselves, or rounded into `scratch`.
template <class T>
const T* operand_rows(std::int64_t m, std::int64_t width, const Wide<T>* rows, T* scratch) {
  if constexpr (sizeof(T) == sizeof(Wide<T>)) {
    return rows;
  } else {
    round_rows<T>(m, width, rows, width, scratch, width);
    return scratch;
  }
}

/// The first where T is narrower than Wide<T>, else the second.
template <class T>
const T* operand_or(const T* narrow, const Wide<T>* wide) {
  if constexpr (sizeof(T) == sizeof(Wide<T>)) {
    return wide;
  } else {
    return narrow;
  }
}

/// to = a b rounded to T, at ld_to. `scratch` (m, n) is used where T is narrower than the product.
template <class T>
void rounded_product(ProductSizes sizes, const T* a, const T* b, T* to, std::int64_t ld_to, Wide<T>* scratch) {
  if constexpr (sizeof(T) == sizeof(Wide<T>)) {
    sizes.ldc = ld_to;
    product(sizes, a, b, to);
  } else {
    sizes.ldc = sizes.n;
    product(sizes, a, b, scratch);
    round_rows<T>(sizes.m, sizes.n, scratch, sizes.n, to, ld_to);
  }
}

}  // namespace shine::cpu
