#pragma once

#include "shine/common/api.h"
#include "shine/nn/linear.h"
#include "shine/nn/norm.h"

namespace shine {

/// The sizes and options of an encoder layer. The fused form (fused_encoder_layer.h) knows exactly the options it
/// reads: where any other is not at its default, EncoderLayer::forward runs.
struct EncoderLayerOptions {
  std::int64_t width = 0;        ///< d
  std::int64_t heads = 1;        ///< divides d
  std::int64_t feedforward = 0;  ///< ff
  double layer_norm_eps = 1e-5;
  at::ScalarType compute = at::kFloat;  ///< operands of the products where x is float32: float32 or bfloat16

  bool operator==(const EncoderLayerOptions&) const = default;
};

/// Multi-head self-attention with the names of torch.nn.MultiheadAttention.
class SHINE_API SelfAttentionImpl : public Module<SelfAttentionImpl> {
 public:
  explicit SelfAttentionImpl(const EncoderLayerOptions& chosen) : options(chosen) { reset(); }
  void reset() override;

  /// Every row of a sequence sees all of it.
  /// @param x          (B, T, d)
  /// @param attn_mask  (T, T) bool, true where a query (row) must not see a key; every row sees one; undefined: none
  at::Tensor forward(const at::Tensor& x, const at::Tensor& attn_mask) const;

  /// in_proj Xavier-uniform with zero bias, out_proj weight U(+-1 / sqrt(d)) with zero bias.
  void initialise(at::Generator& generator);

  EncoderLayerOptions options;
  at::Tensor in_proj_weight;  ///< (3 d, d): q, k, v
  at::Tensor in_proj_bias;    ///< (3 d)
  Linear out_proj{nullptr};   ///< (d, d)
};
TORCH_MODULE(SelfAttention);

/// torch.nn.TransformerEncoderLayer(norm_first=False, activation=gelu, bias=True), with its names, which the M2P
/// Transformer is made of (paper section 3.3). LibTorch's own is not used: its sequences come first, and its products
/// have no second type of operands.
class SHINE_API EncoderLayerImpl : public Module<EncoderLayerImpl> {
 public:
  explicit EncoderLayerImpl(const EncoderLayerOptions& chosen) : options(chosen) { reset(); }
  void reset() override;

  /// x = norm1(x + self_attn(x)); x = norm2(x + linear2(gelu(linear1(x)))), exact gelu. With bfloat16 operands the
  /// residual stream, softmax and norms stay float32.
  /// @param x          (B, T, d)
  /// @param attn_mask  as in SelfAttention
  at::Tensor forward(const at::Tensor& x, const at::Tensor& attn_mask = {}) const;

  /// The values PyTorch gives: linear weights and biases U(+-1 / sqrt(fan_in)), norms 1 / 0.
  void initialise(at::Generator& generator);

  EncoderLayerOptions options;
  SelfAttention self_attn{nullptr};
  Linear linear1{nullptr};  ///< (ff, d)
  Linear linear2{nullptr};  ///< (d, ff)
  LayerNorm norm1{nullptr}, norm2{nullptr};
};
TORCH_MODULE(EncoderLayer);

/// EncoderLayer::forward, or its fused form where the CPU backend runs.
/// @param x          (B, T, d): B sequences; or (S, T, I, d): S * I sequences along the second dimension
/// @param recompute  save only x for the backward
/// @return           the shape of x
SHINE_API at::Tensor run_encoder_layer(const EncoderLayer& layer, const at::Tensor& x, const at::Tensor& attn_mask,
                                       bool recompute);

}  // namespace shine
