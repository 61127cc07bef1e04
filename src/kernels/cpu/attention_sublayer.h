#pragma once

#include "kernels/cpu/adapted_group.h"
#include "kernels/cpu/attention.h"
#include "kernels/sublayer_parts.h"

namespace shine::cpu {

/// x + o(attention(q, k, v of norm(x))); forward and backward of one call.
template <class T>
class AttentionSublayer {
 public:
  /// What the gradient needs beside x.
  struct Saved {
    at::Tensor inverse;       ///< (N), the norm's factor of each token, wide
    at::Tensor q_raw, k_raw;  ///< before norm and rotation, (N, heads * d), (N, kv_heads * d)
    at::Tensor v;             ///< (N, kv_heads * d)
    AttentionResult attention;
    at::Tensor down_in, down_out;  ///< x A of q, k, v (N, R), and of o (Nq, R')
  };
  using Weights = AttentionWeights;
  using Pass = AttentionPass;
  static constexpr const char* kName = "AttentionSublayer";

  /// @param weights, pass  must outlive it
  AttentionSublayer(const Weights& weights, std::span<const LoraWeights> lora, at::ScalarType type, const Pass& pass);

  at::Tensor forward(const at::Tensor& x, Saved& saved) const;

  /// The same where nothing is saved.
  at::Tensor infer(const at::Tensor& x) const;

  /// What `forward` saves, recomputed without y.
  void recompute(const at::Tensor& x, Saved& saved) const;

  /// Once for each call of forward.
  SublayerGradients backward(const at::Tensor& dy, const at::Tensor& x, const Saved& saved, WantedGradients wanted);

 private:
  /// What the attention reads beside v: after norm and rotation, q of the chosen tokens alone.
  struct Rotated {
    at::Tensor q, k;
  };

  void project(const at::Tensor& x, Saved& saved) const;
  Rotated rotate(const Saved& saved) const;
  void attend(const at::Tensor& x, Saved& saved) const;
  void project_out(const at::Tensor& residual, Saved& saved, const at::Tensor& y) const;

  const Weights& weights_;
  const Pass& pass_;
  at::ScalarType type_;
  AttentionHeads heads_;
  AdaptedGroup<T> in_, out_;
};

}  // namespace shine::cpu
