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
  using Weights = AttentionWeights;
  using Pass = AttentionPass;
  static constexpr const char* kName = "AttentionSublayer";

  /// @param weights, pass  must outlive it
  AttentionSublayer(const Weights& weights, std::span<const LoraWeights> lora, at::ScalarType type, const Pass& pass);

  at::Tensor forward(const at::Tensor& x, Saved& saved) const;

  /// The same without a graph.
  at::Tensor infer(const at::Tensor& x) const;

  /// What `forward` saves, recomputed without y.
  void recompute(const at::Tensor& x, Saved& saved) const;

  /// Once for each call of forward: it uses up the graph.
  SublayerGradients backward(const at::Tensor& dy, const at::Tensor& x, const Saved& saved,
                             WantedGradients wanted) const;

 private:
  void project(const at::Tensor& x, Saved& saved) const;
  /// (N, heads * d)
  at::Tensor attend(const Saved& saved) const;
  void attend_with_graph(Saved& saved) const;
  at::Tensor finish(const at::Tensor& x, Saved& saved) const;

  const Weights& weights_;
  const Pass& pass_;
  AdaptedGroup in_, out_;
};

}  // namespace shine::torch_kernels
