#pragma once

#include "kernels/torch/adapted_group.h"

namespace shine::torch_kernels {

/// x + o(attention(q, k, v of norm(x))); forward and backward of one call. For chosen tokens all queries are still
/// computed (attention takes whole rows); only what follows the attention is restricted to them.
class AttentionSublayer {
 public:
  /// What the gradient needs beside x.
  struct Saved {
    at::Tensor q, k, v;                  ///< leaves: (N, heads, d), (N, kv_heads, d), before norm and rotation
    at::Tensor attn_out;                 ///< (N, heads * d), with the graph that leads to q, k and v
    at::Tensor reduced_in, reduced_out;  ///< x A of q, k, v (N, K), and of o (Nq, K')
  };
  /// @param weights  must outlive it
  /// @param masked_in, masked_out  whether the adapters of all tokens, and of the chosen ones, are told apart by a mask
  AttentionSublayer(const AttentionWeights& weights, std::span<const LoraWeights> lora, at::ScalarType type,
                    bool masked_in, bool masked_out);

  /// @param chosen  null: all tokens
  at::Tensor forward(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen, Saved& saved) const;

  /// The same without a graph.
  at::Tensor infer(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen) const;

  /// What `forward` saves, recomputed without y.
  void recompute(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen, Saved& saved) const;

  /// Once for each call of forward: it uses up the graph.
  SublayerGradients backward(const at::Tensor& dy, const at::Tensor& x, const Saved& saved, const SublayerBatch& batch,
                             const TokenChoice* chosen, WantedGradients wanted) const;

 private:
  void project(const at::Tensor& x, const SublayerBatch& batch, Saved& saved) const;
  /// (N, heads * d)
  at::Tensor attend(const SublayerBatch& batch, const Saved& saved) const;
  void attend_with_graph(const SublayerBatch& batch, Saved& saved) const;
  at::Tensor finish(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen, Saved& saved) const;

  const AttentionWeights& weights_;
  AdaptedGroup in_, out_;
};

}  // namespace shine::torch_kernels
