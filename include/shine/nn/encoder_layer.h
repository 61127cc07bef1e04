#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "shine/nn/parameter_list.h"

namespace shine {

/// The weights of torch.nn.TransformerEncoderLayer(norm_first=False, activation=gelu, bias=True), with its names.
struct EncoderLayer {
  at::Tensor in_proj_weight;                                      ///< (3 d, d): q, k, v
  at::Tensor in_proj_bias;                                        ///< (3 d)
  at::Tensor out_proj_weight;                                     ///< (d, d)
  at::Tensor out_proj_bias;                                       ///< (d)
  at::Tensor linear1_weight, linear1_bias;                        ///< (ff, d), (ff)
  at::Tensor linear2_weight, linear2_bias;                        ///< (d, ff), (d)
  at::Tensor norm1_weight, norm1_bias, norm2_weight, norm2_bias;  ///< (d)

  /// Adds the twelve tensors, their names after `prefix`; the list points into this layer.
  void declare(ParameterList& list, const std::string& prefix, std::int64_t width, std::int64_t feedforward);

  /// The values PyTorch gives: in_proj Xavier-uniform with zero bias, out_proj bias zero, other linear weights and
  /// biases U(+-1/sqrt(fan_in)), norms 1 / 0.
  void initialise(at::Generator& generator) const;
};

/// How a layer is run.
struct EncoderLayerOptions {
  std::int64_t heads = 1;   ///< divides d
  bool recompute = false;   ///< keep only the input for the backward
  at::Tensor hidden_pairs;  ///< (T, T) bool, true where a query (row) must not see a key; every row sees one;
                            ///< undefined: all visible
};

/// x = LN1(x + SelfAttn(x)); x = LN2(x + W2 gelu(W1 x)), exact gelu, eps 1e-5, bidirectional (SPEC section 5).
/// @param x  (B, T, d)
/// @return   (B, T, d)
at::Tensor run_encoder_layer(const EncoderLayer& layer, const at::Tensor& x, const EncoderLayerOptions& options);

/// Fills with U(-bound, bound) from a CPU generator, whatever the tensor's device.
void fill_uniform(const at::Tensor& tensor, double bound, at::Generator& generator);

}  // namespace shine
