#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "kernels/sublayer_parts.h"

namespace shine::torch_kernels {

/// Maps of one x, y_m = x W_m^T + bias_m + (x A_m) B_m + C_m with frozen W and bias, by LibTorch operations. The
/// products x A_m are one, with K = the sum of the maps' ranks; so are their gradients. A, B and C are cast to x's
/// type.
class AdaptedGroup {
 public:
  /// @param maps  must outlive the group
  /// @param lora  of each map; empty: none
  AdaptedGroup(std::span<const PreparedLinear> maps, std::span<const LoraWeights> lora, at::ScalarType type,
               bool masked);

  /// x A of all maps, (N, K); undefined without a LoRA.
  at::Tensor reduce(const at::Tensor& x, const TokenAdapters& adapters) const;

  /// The output of a map, (N, out).
  /// @param reduced   what `reduce` gave for x
  /// @param residual  (N, out), added; undefined: none
  at::Tensor apply(std::size_t map, const at::Tensor& x, const at::Tensor& reduced, const TokenAdapters& adapters,
                   const at::Tensor& residual) const;

  /// @param dy  of each map, (N, out)
  SublayerGradients backward(std::span<const at::Tensor> dy, const at::Tensor& x, const at::Tensor& reduced,
                             const TokenAdapters& adapters, WantedGradients wanted) const;

 private:
  /// The map's own columns of (.., K).
  at::Tensor columns(const at::Tensor& all, std::size_t map) const;
  at::Tensor sums_of_groups(const at::Tensor& left, const at::Tensor& right, const TokenAdapters& adapters) const;
  LoraWeights gradients_of_b_and_c(std::size_t map, const at::Tensor& dy, const at::Tensor& reduced,
                                   const TokenAdapters& adapters) const;

  std::span<const PreparedLinear> maps_;
  bool masked_;
  std::int64_t adapters_ = 0;
  at::ScalarType lora_type_ = at::kFloat;
  // One product for each adapter, or one for all of them side by side: `groups` is B_l, or 1.
  at::Tensor a_;               ///< (groups, in, K)
  std::vector<at::Tensor> b_;  ///< of each map: (groups, k, out), the k values that are its own of the K
  std::vector<at::Tensor> c_;  ///< of each map: (B_l, out) or undefined
  std::vector<std::int64_t> first_columns_;
};

}  // namespace shine::torch_kernels
