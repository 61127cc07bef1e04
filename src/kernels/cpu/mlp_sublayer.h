#pragma once

#include "kernels/cpu/adapted_group.h"
#include "kernels/sublayer_parts.h"

namespace shine::cpu {

/// x + down(silu(gate) * up of norm(x)) by blocks of tokens; forward and backward of one call.
template <class T>
class MlpSublayer {
 public:
  /// What the gradient needs beside x; undefined tensors where nothing was saved.
  struct Saved {
    at::Tensor inverse;            ///< (N), the norm's factor of each token, wide
    at::Tensor gate_up;            ///< (N, 2 ff)
    at::Tensor down_in, down_out;  ///< x A of gate and up (N, R), and of down (N, R')
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
  void recompute(const at::Tensor& x, Saved& saved) const { run(x, &saved, {}); }

  /// Once for each call of forward.
  SublayerGradients backward(const at::Tensor& dy, const at::Tensor& x, const Saved& saved, WantedGradients wanted);

 private:
  void run(const at::Tensor& x, Saved* saved, const at::Tensor& y) const;

  const Weights& weights_;
  const Pass& adapters_;
  at::ScalarType type_;
  AdaptedGroup<T> in_, out_;
};

}  // namespace shine::cpu
