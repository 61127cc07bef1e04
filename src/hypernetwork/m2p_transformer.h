#pragma once

#include <vector>

#include "shine/hypernetwork/memory_to_params.h"
#include "shine/nn/encoder_layer.h"

namespace shine {

/// Encoder layers that attend in turn across layers (sequences of L) and across memory tokens (sequences of M), then
/// optional couple layers inside each layer's vector.
class M2pTransformer : public MemoryToParams {
 public:
  /// `config` is resolved.
  M2pTransformer(const M2pConfig& config, const M2pShape& shape, bool recompute, at::ScalarType compute);
  at::Tensor forward(const at::Tensor& memory_states) const override;
  void initialise(at::Generator& generator) override;

 private:
  M2pConfig config_;
  bool recompute_;
  std::vector<EncoderLayer> layers_, couple_layers_;
  at::Tensor couple_mask_;  ///< (T, T) bool, true where hidden, T = M * H / couple_width
};

/// Which couple tokens must not see each other: an A-token sees the B-tokens of its projection and the reverse; tokens
/// beyond the LoRA's values see each other.
at::Tensor make_couple_mask(const M2pShape& shape, std::int64_t width);

}  // namespace shine
