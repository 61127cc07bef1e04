#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// Most logits in memory at a time. On a GPU, where every chunk reads the whole head again and a short one leaves most
/// of the device idle: 128 Mi values, 883 rows of a vocabulary of 151,936, 256 MiB in bfloat16. Elsewhere 16 Mi.
constexpr std::int64_t cross_entropy_chunk_values(c10::DeviceType device) {
  return std::int64_t{1} << (device == c10::DeviceType::CUDA ? 27 : 24);
}

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
