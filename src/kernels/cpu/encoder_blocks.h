#pragma once

#include <ATen/core/Tensor.h>

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
  at::Tensor attn_mask;  ///< (T, T) bool, contiguous, true where masked; undefined: none
  at::ScalarType type = at::kFloat;
};

/// What the backward needs beside x and the weights.
struct EncoderAttentionSaved {
  at::Tensor qkv;       ///< (N, 3 d), `type`
  at::Tensor attn_out;  ///< (N, d), `type`: the heads' outputs
  at::Tensor sum;       ///< (N, d): before the norm
};

/// A sub-layer's first linear map (in_proj, linear1), its second (out_proj, linear2) and its norm; or their gradients.
struct EncoderWeights {
  at::Tensor in_weight, in_bias, out_weight, out_bias, norm_weight, norm_bias;

  /// Calls `f` with each, in one order.
  template <class Self, class Function>
  static void for_each(Self& self, const Function& f) {
    for (auto* each :
         {&self.in_weight, &self.in_bias, &self.out_weight, &self.out_bias, &self.norm_weight, &self.norm_bias}) {
      f(*each);
    }
  }
};

struct EncoderGradients {
  at::Tensor x;
  EncoderWeights weights;
};

/// norm(x + out_proj(attention(in_proj(x)))), (N, d) -> (N, d)
at::Tensor encoder_attention_forward(const at::Tensor& x, const EncoderWeights& weights,
                                     const EncoderAttentionForm& form, EncoderAttentionSaved& saved);
EncoderGradients encoder_attention_backward(const at::Tensor& dy, const at::Tensor& x, const EncoderWeights& weights,
                                            const EncoderAttentionForm& form, const EncoderAttentionSaved& saved);

struct EncoderFeedforwardSaved {
  at::Tensor inner;  ///< (N, ff), `type`: before the gelu
  at::Tensor sum;    ///< (N, d): before the norm
};

/// norm(x + linear2(gelu(linear1(x)))), (N, d) -> (N, d)
at::Tensor encoder_feedforward_forward(const at::Tensor& x, const EncoderWeights& weights, double eps,
                                       at::ScalarType type, EncoderFeedforwardSaved& saved);
EncoderGradients encoder_feedforward_backward(const at::Tensor& dy, const at::Tensor& x, const EncoderWeights& weights,
                                              double eps, at::ScalarType type, const EncoderFeedforwardSaved& saved);

}  // namespace shine::cpu
