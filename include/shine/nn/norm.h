#pragma once

#include "shine/common/api.h"
#include "shine/nn/module.h"

namespace shine {

/// y = weight * x / sqrt(mean(x^2) + eps) over the last dimension, statistics in float32.
class SHINE_API RmsNormImpl : public Module<RmsNormImpl> {
 public:
  RmsNormImpl(std::int64_t values, double epsilon) : width(values), eps(epsilon) { reset(); }
  void reset() override { weight = declare("weight", {width}, Decay::never); }

  /// (.., width) -> (.., width)
  at::Tensor forward(const at::Tensor& x) const;

  void pretty_print(std::ostream& stream) const override;

  std::int64_t width;
  double eps;
  at::Tensor weight;  ///< (width)
};
TORCH_MODULE(RmsNorm);

/// y = weight * (x - mean) / sqrt(variance + eps) + bias over the last dimension.
class SHINE_API LayerNormImpl : public Module<LayerNormImpl> {
 public:
  LayerNormImpl(std::int64_t values, double epsilon) : width(values), eps(epsilon) { reset(); }
  void reset() override {
    weight = declare("weight", {width}, Decay::never);
    bias = declare("bias", {width}, Decay::never);
  }

  /// (.., width) -> (.., width)
  at::Tensor forward(const at::Tensor& x) const;

  /// Ones and zeros.
  void initialise();

  void pretty_print(std::ostream& stream) const override;

  std::int64_t width;
  double eps;
  at::Tensor weight, bias;  ///< (width)
};
TORCH_MODULE(LayerNorm);

}  // namespace shine
