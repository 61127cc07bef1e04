#pragma once

#include "shine/common/api.h"
#include "shine/decoder/decoder_config.h"
#include "shine/decoder/layer_pass.h"
#include "shine/lora/lora_tree.h"
#include "shine/nn/linear.h"
#include "shine/nn/norm.h"

namespace shine {

/// Grouped-query self-attention with rotary positions, named as in Hugging Face checkpoints (`self_attn`).
class SHINE_API AttentionImpl : public Module<AttentionImpl> {
 public:
  /// @param index  among the decoder's layers
  AttentionImpl(const DecoderConfig& model, std::int64_t index) : config(model), layer(index) { reset(); }
  void reset() override;

  /// @param x     (N, H), the packed tokens of all rows
  /// @param lora  of this layer; null: none
  /// @return      (N, H)
  at::Tensor forward(const at::Tensor& x, const LoraLayer* lora, const LayerPass& pass) const;

  DecoderConfig config;
  std::int64_t layer;
  Linear q_proj{nullptr}, k_proj{nullptr}, v_proj{nullptr}, o_proj{nullptr};
  RmsNorm q_norm{nullptr}, k_norm{nullptr};  ///< as config says; empty without norms
};
TORCH_MODULE(Attention);

/// The rotation of tokens at `positions` (N) that Attention::forward is given, in training and in decoding.
SHINE_API RopeTable rope_table_of(const DecoderConfig& model, const at::Tensor& positions, at::ScalarType type);

/// down(silu(gate(x)) * up(x)), named as in Hugging Face checkpoints (`mlp`).
class SHINE_API MlpImpl : public Module<MlpImpl> {
 public:
  explicit MlpImpl(const DecoderConfig& model) : config(model) { reset(); }
  void reset() override;

  /// @param x     (N, H)
  /// @param lora  of this layer; null: none
  /// @return      (N, H)
  at::Tensor forward(const at::Tensor& x, const LoraLayer* lora, const LayerPass& pass) const;

  DecoderConfig config;
  Linear gate_proj{nullptr}, up_proj{nullptr}, down_proj{nullptr};
};
TORCH_MODULE(Mlp);

/// One layer: h = x + self_attn(norm(x)); h + mlp(norm(h)), or with config.post_norm h = x + norm(self_attn(x));
/// h + norm(mlp(h)). This is the layer in training, evaluation and decoding; where the fused form (fused_layers.h) runs
/// instead, it computes the same values.
class SHINE_API DecoderLayerImpl : public Module<DecoderLayerImpl> {
 public:
  /// @param place  among the decoder's layers
  DecoderLayerImpl(const DecoderConfig& model, std::int64_t place) : config(model), index(place) { reset(); }
  void reset() override;

  /// @param x     (N, H), the packed tokens of all rows
  /// @param lora  of this layer; null: none
  /// @return      (N, H)
  at::Tensor forward(const at::Tensor& x, const LoraLayer* lora, const LayerPass& pass) const;

  /// The linear map that `which` adapts.
  const Linear& projection(Projection which) const;

  DecoderConfig config;
  std::int64_t index;
  Attention self_attn{nullptr};
  Mlp mlp{nullptr};
  RmsNorm input_layernorm{nullptr};             ///< empty with config.post_norm
  RmsNorm post_attention_layernorm{nullptr};    ///< before the MLP; with config.post_norm behind the attention
  RmsNorm post_feedforward_layernorm{nullptr};  ///< with config.post_norm, behind the MLP
};
TORCH_MODULE(DecoderLayer);

}  // namespace shine
