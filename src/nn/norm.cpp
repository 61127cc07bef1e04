#include "shine/nn/norm.h"

#include <ATen/ATen.h>

#include "ops/rms_norm.h"

namespace shine {

at::Tensor RmsNormImpl::forward(const at::Tensor& x) const {
  return rms_norm(x, weight, eps);
}

void RmsNormImpl::pretty_print(std::ostream& stream) const {
  stream << "RmsNorm(" << width << ", eps=" << eps << ")";
}

at::Tensor LayerNormImpl::forward(const at::Tensor& x) const {
  return at::layer_norm(x, {width}, weight, bias, eps);
}

void LayerNormImpl::initialise() {
  const at::NoGradGuard no_grad;
  weight.fill_(1.0);
  bias.zero_();
}

void LayerNormImpl::pretty_print(std::ostream& stream) const {
  stream << "LayerNorm(" << width << ", eps=" << eps << ")";
}

}  // namespace shine
