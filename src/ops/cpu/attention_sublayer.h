#pragma once

#include "adapted_group.h"
#include "attention_engine.h"
#include "ops/sublayer_parts.h"

namespace shine::cpu {

/// x + o(attention(q, k, v of norm(x))); forward and gradient of one call.
template <class T>
class AttentionSublayer {
 public:
  /// What the gradient needs beside x.
  struct Kept {
    at::Tensor inverse;       ///< (N), the norm's factor of each token, wide
    at::Tensor q_raw, k_raw;  ///< before norm and rotation, (N, heads * d), (N, kv_heads * d)
    at::Tensor v;             ///< (N, kv_heads * d)
    AttentionResult attention;
    at::Tensor down_in, down_out;  ///< x A of q, k, v (N, R), and of o (Nq, R')
  };
  AttentionSublayer(const AttentionWeights& weights, std::span<const SublayerLora> lora, at::ScalarType type);

  /// @param chosen  null: all tokens
  at::Tensor forward(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen, Kept& kept) const;

  /// The same where nothing is kept.
  at::Tensor infer(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen) const;

  /// What `forward` keeps, computed again without y.
  void keep(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen, Kept& kept) const;

  /// Once for each call of forward.
  SublayerGradients backward(const at::Tensor& dy, const at::Tensor& x, const Kept& kept, const SublayerBatch& batch,
                             const TokenChoice* chosen, WantedGradients wanted);

 private:
  /// What the attention reads beside v: after norm and rotation, q of the chosen tokens alone.
  struct Turned {
    at::Tensor q, k;
  };

  void project(const at::Tensor& x, const SublayerBatch& batch, Kept& kept) const;
  Turned turn(const SublayerBatch& batch, const TokenChoice* chosen, const Kept& kept) const;
  void attend(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen, Kept& kept) const;
  void mix(const at::Tensor& residual, const std::vector<std::int64_t>& spans, Kept& kept, const at::Tensor& y) const;

  const AttentionWeights& weights_;
  at::ScalarType type_;
  AttentionHeads heads_;
  AdaptedGroup<T> in_, out_;
};

}  // namespace shine::cpu
