#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// Most logits in memory at a time: 16 Mi values, 64 MiB in float32.
inline constexpr std::int64_t kCrossEntropyChunkValues = std::int64_t{1} << 24;

/// Cross-entropy of logits = hidden weight^T against targets, in float32, without saving the logits: they are
/// computed in chunks of rows (on the CPU backend in strips of the vocabulary), and only the gradient of `hidden` is
/// saved. The head is frozen.
/// @param hidden   (n, H), labelled positions only
/// @param weight   (V, H)
/// @param targets  (n), int64, each in [0, V): c10::Error on a CPU, a device assertion on a GPU, for others
/// @return         (n), the loss of each position in float32 (float64 for float64 input)
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets);

/// The formula by autograd for logits (n, V): (n), in float32 (float64 for float64 logits).
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets);

/// The same of hidden weight^T, all logits at once; the weight may be trained. The reference that tests the above.
at::Tensor linear_cross_entropy_reference(const at::Tensor& hidden, const at::Tensor& weight,
                                          const at::Tensor& targets);

}  // namespace shine
