#pragma once

#include "adapted_group.h"

namespace shine::operations {

/// x + down(silu(gate) * up of norm(x)); forward and gradient of one call.
class MlpSublayer {
 public:
  /// What the gradient needs beside x.
  struct Kept {
    at::Tensor gate, up;                 ///< (N, ff)
    at::Tensor reduced_in, reduced_out;  ///< x A of gate and up (N, K), and of down (N, K')
  };
  /// @param weights  must outlive it
  MlpSublayer(const MlpWeights& weights, std::span<const SublayerLora> lora, at::ScalarType type, bool masked);

  at::Tensor forward(const at::Tensor& x, const TokenAdapters& adapters, Kept& kept) const;

  /// The same where nothing is kept.
  at::Tensor infer(const at::Tensor& x, const TokenAdapters& adapters) const;

  /// What `forward` keeps, computed again without y.
  void keep(const at::Tensor& x, const TokenAdapters& adapters, Kept& kept) const;

  SublayerGradients backward(const at::Tensor& dy, const at::Tensor& x, const Kept& kept, const TokenAdapters& adapters,
                             WantedGradients wanted) const;

 private:
  /// Fills `kept` and returns silu(gate) * up, (N, ff).
  at::Tensor inner(const at::Tensor& x, const TokenAdapters& adapters, Kept& kept) const;

  const MlpWeights& weights_;
  AdaptedGroup in_, out_;
};

}  // namespace shine::operations
