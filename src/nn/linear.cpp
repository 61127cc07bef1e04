#include "shine/nn/linear.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ops/lora_linear.h"
#include "ops/narrow_linear.h"

namespace shine {

void LinearImpl::reset() {
  weight = declare("weight", {options.out, options.in}, Decay::always);
  if (options.bias) bias = declare("bias", {options.out}, Decay::never);
}

at::Tensor LinearImpl::forward(const at::Tensor& x) const {
  if (options.compute != at::kBFloat16 || x.scalar_type() != at::kFloat) {
    return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
  }
  return narrow_linear(x, weight, bias);
}

at::Tensor LinearImpl::forward(const at::Tensor& x, const LoraWeights* lora,
                               const std::vector<std::int64_t>& spans) const {
  return lora == nullptr ? forward(x) : lora_linear({x, weight, bias, lora->a, lora->b, lora->c, spans});
}

void LinearImpl::initialise(at::Generator& generator) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(options.in));
  fill_uniform(weight, bound, generator);
  if (bias.defined()) fill_uniform(bias, bound, generator);
}

void LinearImpl::pretty_print(std::ostream& stream) const {
  stream << "Linear(" << options.in << ", " << options.out << (options.bias ? "" : ", bias=false") << ")";
}

}  // namespace shine
