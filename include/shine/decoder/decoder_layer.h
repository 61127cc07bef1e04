#pragma once

#include "shine/common/api.h"
#include "shine/decoder/attention.h"
#include "shine/decoder/mlp.h"

namespace shine {

/// One pre-norm layer: h = x + self_attn(norm(x)); h + mlp(norm(h)). This is the layer in training, evaluation and
/// decoding; where the fused form (fused_layers.h) runs instead, it computes the same values.
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
  RmsNorm input_layernorm{nullptr}, post_attention_layernorm{nullptr};
};
TORCH_MODULE(DecoderLayer);

}  // namespace shine
