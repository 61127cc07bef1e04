#pragma once

#include "kernels/torch/adapted_group.h"

namespace shine::torch_kernels {

/// x + down(silu(gate) * up of norm(x)); forward and gradient of one call.
class MlpSublayer {
 public:
  /// What the gradient needs beside x.
  struct Saved {
    at::Tensor gate, up;                 ///< (N, ff)
    at::Tensor reduced_in, reduced_out;  ///< x A of gate and up (N, K), and of down (N, K')
  };
  using Weights = MlpWeights;
  using Pass = TokenAdapters;
  static constexpr const char* kName = "MlpSublayer";

  /// @param weights, adapters  must outlive it
  MlpSublayer(const Weights& weights, std::span<const LoraWeights> lora, at::ScalarType type, const Pass& adapters);

  at::Tensor forward(const at::Tensor& x, Saved& saved) const;

  /// The same where nothing is saved.
  at::Tensor infer(const at::Tensor& x) const;

  /// What `forward` saves, recomputed without y.
  void recompute(const at::Tensor& x, Saved& saved) const { inner(x, saved); }

  SublayerGradients backward(const at::Tensor& dy, const at::Tensor& x, const Saved& saved,
                             WantedGradients wanted) const;

 private:
  /// Fills `saved` and returns silu(gate) * up, (N, ff).
  at::Tensor inner(const at::Tensor& x, Saved& saved) const;

  const Weights& weights_;
  const Pass& adapters_;
  AdaptedGroup in_, out_;
};

}  // namespace shine::torch_kernels
