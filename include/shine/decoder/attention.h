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
  RmsNorm q_norm{nullptr}, k_norm{nullptr};  ///< over head_dim; empty without config.qk_norm
};
TORCH_MODULE(Attention);

}  // namespace shine
