#pragma once

#include <vector>

#include "shine/hypernetwork/memory_to_params.h"
#include "shine/nn/encoder_layer.h"

namespace shine {

/// Encoder layers that alternate between attention across layers (sequences of L) and across memory tokens (sequences
/// of M), then optional couple layers within each layer's vector (paper section 3.3).
class M2pTransformer : public MemoryToParams {
 public:
  /// `config` is resolved.
  M2pTransformer(const M2pConfig& config, const M2pShape& shape, bool recompute, at::ScalarType compute);
  at::Tensor forward(const at::Tensor& memory_states) const override;
  void initialise(at::Generator& generator) override;

 private:
  M2pConfig config_;
  M2pShape shape_;
  bool recompute_;
  std::vector<EncoderLayer> layers_, couple_layers_;
};

/// The couple layers' attn_mask: A-tokens attend to the B-tokens of their projection and vice versa; tokens beyond the
/// LoRA's values attend to each other. Made anew for each pass: Module::to(dtype) would convert a buffer too.
/// @return  (T, T) bool, true where masked; T = M * H / width
at::Tensor make_couple_mask(const M2pShape& shape, std::int64_t width, at::Device device);

}  // namespace shine
