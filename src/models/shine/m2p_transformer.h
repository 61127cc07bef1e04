#pragma once

#include <vector>

#include "shine/models/shine/memory_to_params.h"
#include "shine/nn/encoder_layer.h"

namespace shine {

/// Encoder layers that attend in turn across layers (sequences of L) and across memory tokens (sequences of M), then
/// optional couple layers inside each layer's vector.
class M2pTransformer : public MemoryToParams {
 public:
  /// `config` is resolved.
  M2pTransformer(const M2pConfig& config, const M2pShape& shape, bool recompute, at::ScalarType compute);
  at::Tensor forward(const at::Tensor& memory_states) const override;
  void initialise(at::Generator& generator) const override;

 private:
  at::Tensor run_couple_layers(const at::Tensor& x) const;

  M2pConfig config_;
  M2pShape shape_;
  bool recompute_;
  at::ScalarType compute_;  ///< of the operands of products
  std::vector<EncoderLayer> layers_, couple_layers_;
  /// (T, T) bool, true where hidden, T = M * H / couple_width; moved to where x is, once
  mutable at::Tensor couple_mask_;
};

/// Which couple tokens must not see each other: an A-token sees the B-tokens of its projection and the reverse; tokens
/// beyond the LoRA's values see each other.
at::Tensor make_couple_mask(const M2pShape& shape, std::int64_t width);

}  // namespace shine
