#pragma once

#include <ATen/core/Tensor.h>

#include <array>

// The two sub-layers of a post-norm encoder layer on the CPU backend, forward and backward, by blocks of rows. All
// matrices are contiguous, weights and their gradients float32 (float64 for float64). `type` is that of the products'
// operands: float32 or bfloat16, float64 for float64; head width and feed-forward width are even for bfloat16.
// No checks: the callers have made them.

namespace shine::cpu {

/// S * I sequences of T rows: row t of sequence (s, i) is row (s * T + t) * I + i of the matrix.
struct EncoderSequences {
  std::int64_t outer = 0, length = 0, inner = 1;

  std::int64_t rows() const { return outer * length * inner; }
  std::int64_t count() const { return outer * inner; }
  std::int64_t first_row(std::int64_t sequence) const { return sequence / inner * length * inner + sequence % inner; }
};

struct EncoderAttentionForm {
  EncoderSequences sequences;
  std::int64_t heads = 1;
  double eps = 0.0;
  at::Tensor hidden;  ///< (T, T) bool, contiguous, true where hidden; undefined: all visible
  at::ScalarType type = at::kFloat;
};

/// What the backward needs beside x and the weights.
struct EncoderAttentionSaved {
  at::Tensor qkv;       ///< (N, 3 d), `type`
  at::Tensor attn_out;  ///< (N, d), `type`: the heads' outputs
  at::Tensor sum;       ///< (N, d): before the norm
};

/// in_proj weight and bias, out_proj weight and bias, norm weight and bias; their gradients behind that of x.
using EncoderAttentionWeights = std::array<at::Tensor, 6>;
using EncoderAttentionGradients = std::array<at::Tensor, 7>;

/// norm(x + out_proj(attention(in_proj(x)))), (N, d) -> (N, d)
at::Tensor encoder_attention_forward(const at::Tensor& x, const EncoderAttentionWeights& weights,
                                     const EncoderAttentionForm& form, EncoderAttentionSaved& saved);
EncoderAttentionGradients encoder_attention_backward(const at::Tensor& dy, const at::Tensor& x,
                                                     const EncoderAttentionWeights& weights,
                                                     const EncoderAttentionForm& form,
                                                     const EncoderAttentionSaved& saved);

struct EncoderFeedforwardSaved {
  at::Tensor inner;  ///< (N, ff), `type`: before the gelu
  at::Tensor sum;    ///< (N, d): before the norm
};

/// linear1 weight and bias, linear2 weight and bias, norm weight and bias; their gradients behind that of x.
using EncoderFeedforwardWeights = std::array<at::Tensor, 6>;
using EncoderFeedforwardGradients = std::array<at::Tensor, 7>;

/// norm(x + linear2(gelu(linear1(x)))), (N, d) -> (N, d)
at::Tensor encoder_feedforward_forward(const at::Tensor& x, const EncoderFeedforwardWeights& weights, double eps,
                                       at::ScalarType type, EncoderFeedforwardSaved& saved);
EncoderFeedforwardGradients encoder_feedforward_backward(const at::Tensor& dy, const at::Tensor& x,
                                                         const EncoderFeedforwardWeights& weights, double eps,
                                                         at::ScalarType type, const EncoderFeedforwardSaved& saved);

}  // namespace shine::cpu
