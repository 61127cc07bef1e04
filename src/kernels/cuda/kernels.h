#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/flat_chunks.h"

namespace shine::cuda {

/// Launchers of the GPU kernels, free of torch: device pointers, sizes, a stream. They neither allocate nor wait;
/// the caller asks the runtime for a launch's error. Tensors are contiguous, sizes may be any, 0 too. Values are
/// `type`, statistics and sums float32.
enum class ValueType { float32, bfloat16 };

/// y = weight * x / sqrt(mean(x^2) + eps).
struct RmsNormForward {
  ValueType type;
  std::int64_t rows, width;
  const void *x, *weight;  ///< (rows, width), (width)
  void* y;                 ///< (rows, width)
  float* inverse;          ///< (rows): 1 / sqrt(mean + eps)
  float eps;
};
void rms_norm_forward(const RmsNormForward& args, cudaStream_t stream);

struct RmsNormBackward {
  ValueType type;
  std::int64_t rows, width;
  const void *dy, *x, *weight;
  const void* residual_gradient;  ///< (rows, width), added to dx; or null
  const float* inverse;
  void* dx;
};
void rms_norm_backward(const RmsNormBackward& args, cudaStream_t stream);

/// dweight = sum over rows of dy * x * inverse, in two stages whose order never changes.
struct RmsNormWeightGradient {
  ValueType type;
  std::int64_t rows, width, parts;
  const void *dy, *x;
  const float* inverse;
  float* partial;  ///< (parts, width), scratch
  void* dweight;   ///< (width)
};
void rms_norm_weight_gradient(const RmsNormWeightGradient& args, cudaStream_t stream);

/// Rotation of the pairs (i, i + d / 2) of every head, by the angle or against it.
struct Rope {
  ValueType type;
  std::int64_t tokens, heads, d;
  const void *x, *cos, *sin;  ///< (tokens, heads, d), twice (tokens, d) with equal halves
  void* y;
  bool inverse;
};
void apply_rope(const Rope& args, cudaStream_t stream);

/// RMSNorm over d, then the rotation.
struct NormRopeForward {
  ValueType type;
  std::int64_t tokens, heads, d;
  const void *x, *weight, *cos, *sin;  ///< (tokens, heads, d), (d), twice (tokens, d)
  void* y;
  float* inverse;  ///< (tokens, heads)
  float eps;
};
void norm_rope_forward(const NormRopeForward& args, cudaStream_t stream);

struct NormRopeBackward {
  ValueType type;
  std::int64_t tokens, heads, d;
  const void *dy, *x, *weight, *cos, *sin;
  const float* inverse;
  void* dx;
};
void norm_rope_backward(const NormRopeBackward& args, cudaStream_t stream);

/// y = silu(gate) * up.
struct SwiGluForward {
  ValueType type;
  std::int64_t count;
  const void *gate, *up;
  void* y;
};
void swiglu_forward(const SwiGluForward& args, cudaStream_t stream);

struct SwiGluBackward {
  ValueType type;
  std::int64_t count;
  const void *dy, *gate, *up;
  void *dgate, *dup;
};
void swiglu_backward(const SwiGluBackward& args, cudaStream_t stream);

/// losses = logsumexp(logits) - logits[target]; with `gradient`, logits become softmax - one hot. A target outside
/// [0, width) stops the device with a trap.
struct CrossEntropy {
  ValueType type;
  std::int64_t rows, width;
  void* logits;                 ///< (rows, width)
  const std::int64_t* targets;  ///< (rows)
  float* losses;                ///< (rows)
  bool gradient;
};
void cross_entropy(const CrossEntropy& args, cudaStream_t stream);

/// squares[place] = sum of (scale * gradient)^2 over each part, in two stages whose order never changes.
struct SquareSums {
  const float* gradients;
  const FlatChunk* chunks;
  std::int64_t chunk_count;
  const FlatPart* parts;
  std::int64_t part_count;
  double scale;
  double* partial;  ///< (chunk_count), scratch
  double* squares;  ///< by place; places without a part are left alone
};
void square_sums(const SquareSums& args, cudaStream_t stream);

/// What multiplies each group's gradients, and whether all squares are finite.
struct ClipFactors {
  enum class Form { none, global, per_group };
  Form form;
  double scale, limit;
  const double* squares;            ///< (place_count)
  const std::int64_t* place_group;  ///< (place_count)
  std::int64_t place_count, group_count;
  float* factors;        ///< (group_count)
  std::int32_t* finite;  ///< one: 1 or 0
};
void clip_factors(const ClipFactors& args, cudaStream_t stream);

/// AdamW of one group's chunks; does nothing where *finite is 0.
struct AdamW {
  const FlatChunk* chunks;
  std::int64_t chunk_count;
  float* values;
  const float* gradients;
  float *first, *second;
  const float* factors;  ///< by group
  const std::int32_t* finite;
  const float* weight_decay;  ///< by group
  float learning_rate, beta1, beta2, epsilon;
  float rest1, rest2;                   ///< 1 - beta1, 1 - beta2
  float correction1, root_correction2;  ///< 1 - beta1^t, sqrt(1 - beta2^t)
};
void adamw(const AdamW& args, cudaStream_t stream);

}  // namespace shine::cuda
