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
  at::ScalarType compute = at::kFloat;  ///< operands of the products where x is float32: float32 or bfloat16
};

/// x = LN1(x + SelfAttn(x)); x = LN2(x + W2 gelu(W1 x)), exact gelu, eps 1e-5, bidirectional (SPEC section 5).
/// On a CPU with the needed instructions, unless `ops.fused` is off, it is two fused operations. With bfloat16 operands
/// residual stream, softmax and norms stay float32.
/// @param x  (B, T, d): B sequences; or (S, T, I, d): S * I sequences along the second dimension
/// @return   the shape of x
at::Tensor run_encoder_layer(const EncoderLayer& layer, const at::Tensor& x, const EncoderLayerOptions& options);

/// x W^T + bias (may be undefined) with operands of type `compute` where x is float32; the result has the dtype of x.
at::Tensor linear_in(at::ScalarType compute, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// Fills with U(-bound, bound) from a CPU generator, whatever the tensor's device.
void fill_uniform(const at::Tensor& tensor, double bound, at::Generator& generator);

}  // namespace shine
