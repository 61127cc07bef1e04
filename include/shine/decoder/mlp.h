#pragma once

#include "shine/common/api.h"
#include "shine/decoder/decoder_config.h"
#include "shine/decoder/layer_pass.h"
#include "shine/lora/lora_tree.h"
#include "shine/nn/linear.h"

namespace shine {

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

}  // namespace shine
