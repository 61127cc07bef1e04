#pragma once

#include <ATen/core/Tensor.h>

namespace shine {

/// The two sub-layers of a post-norm encoder layer as one operation each, with a backward written by hand. They save
/// x, the operands and results of the products, and the sum before the norm; attention weights and gelu are recomputed.
/// Sums, residual stream, softmax and norms are float32 (float64 for float64).
///
/// x is (S, T, I, d): S * I sequences of T rows, row t of sequence (s, i) at x[s, t, i]. It is float32 or float64 and
/// on the CPU, as are the weights, which have the names of EncoderLayer. The output has the shape and dtype of x.
/// Both throw ShapeError where sizes do not fit, and may be called only where encoder_sublayers_run says so.

/// Whether this processor runs them for such an x. `compute` is the type of the products' operands: float32 or
/// bfloat16, without effect for float64.
bool encoder_sublayers_run(const at::Tensor& x, std::int64_t heads, std::int64_t feedforward, at::ScalarType compute);

struct EncoderAttentionInput {
  at::Tensor x;
  at::Tensor in_proj_weight, in_proj_bias;    ///< (3 d, d), (3 d)
  at::Tensor out_proj_weight, out_proj_bias;  ///< (d, d), (d)
  at::Tensor norm_weight, norm_bias;          ///< (d)
  std::int64_t heads = 1;                     ///< divides d
  at::Tensor attn_mask;  ///< (T, T) bool, true where a query (row) must not see a key; may be absent
  double eps = 1e-5;
  at::ScalarType compute = at::kFloat;
};

/// norm(x + out_proj(attention(in_proj(x)))), every row of a sequence seeing all of it.
at::Tensor encoder_attention_sublayer(const EncoderAttentionInput& in);

struct EncoderFeedforwardInput {
  at::Tensor x;
  at::Tensor linear1_weight, linear1_bias;  ///< (ff, d), (ff)
  at::Tensor linear2_weight, linear2_bias;  ///< (d, ff), (d)
  at::Tensor norm_weight, norm_bias;        ///< (d)
  double eps = 1e-5;
  at::ScalarType compute = at::kFloat;
};

/// norm(x + linear2(gelu(linear1(x)))), exact gelu.
at::Tensor encoder_feedforward_sublayer(const EncoderFeedforwardInput& in);

}  // namespace shine
