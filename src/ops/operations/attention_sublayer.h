#pragma once

#include "adapted_group.h"

namespace shine::operations {

/// x + o(attention(q, k, v of norm(x))); forward and gradient of one call. Of chosen tokens alone, all queries are
/// still computed (kernels take whole rows); what follows the attention is computed for the chosen ones.
class AttentionSublayer {
 public:
  /// What the gradient needs beside x.
  struct Kept {
    at::Tensor q, k, v;                  ///< leaves: (N, heads, d), (N, kv_heads, d), before norm and rotation
    at::Tensor mixed;                    ///< (N, heads * d), with the graph that leads to q, k and v
    at::Tensor reduced_in, reduced_out;  ///< x A of q, k, v (N, K), and of o (Nq, K')
  };
  /// @param weights  must outlive it
  /// @param masked_in, masked_out  whether the adapters of all and of the chosen tokens are by a mask
  AttentionSublayer(const AttentionWeights& weights, std::span<const SublayerLora> lora, at::ScalarType type,
                    bool masked_in, bool masked_out);

  /// @param chosen  null: all tokens
  at::Tensor forward(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen, Kept& kept) const;

  /// The same without a graph.
  at::Tensor infer(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen) const;

  /// What `forward` keeps, computed again without y.
  void keep(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen, Kept& kept) const;

  /// Once for each call of forward: it uses up the graph.
  SublayerGradients backward(const at::Tensor& dy, const at::Tensor& x, const Kept& kept, const SublayerBatch& batch,
                             const TokenChoice* chosen, WantedGradients wanted) const;

 private:
  void project(const at::Tensor& x, const SublayerBatch& batch, Kept& kept) const;
  /// (N, heads * d)
  at::Tensor attend(const SublayerBatch& batch, const Kept& kept) const;
  void attend_recorded(const SublayerBatch& batch, Kept& kept) const;
  at::Tensor finish(const at::Tensor& x, const SublayerBatch& batch, const TokenChoice* chosen, Kept& kept) const;

  const AttentionWeights& weights_;
  AdaptedGroup in_, out_;
};

}  // namespace shine::operations
