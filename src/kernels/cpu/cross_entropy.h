#pragma once

#include <ATen/core/Tensor.h>

namespace shine::cpu {

struct CrossEntropyResult {
  at::Tensor losses;     ///< (n), float32 (float64 for float64)
  at::Tensor to_hidden;  ///< (n, H), gradient of each loss by its own row, dtype of hidden; undefined if not asked for
};

/// Whether cross_entropy takes these: the CPU backend runs in their dtype, and H is even for bfloat16.
bool cross_entropy_takes(const at::Tensor& hidden, const at::Tensor& weight);

/// Cross-entropy of hidden weight^T, computed like an attention of the rows over the vocabulary: with p the softmax,
/// which exists only for a few vocabulary entries at a time, the loss is log(sum) - the target's logit, and its
/// gradient is p weight - the target's row. The vocabulary is divided among the threads.
/// @param hidden   (n, H), contiguous
/// @param weight   (V, H), contiguous, dtype of hidden
/// @param targets  (n), int64; c10::IndexError unless each is in [0, V)
CrossEntropyResult cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                                 bool need_gradient);

}  // namespace shine::cpu
