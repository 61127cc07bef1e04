#include "kernels/torch/mlp_sublayer.h"

#include <ATen/ATen.h>

#include "kernels/torch/rms_norm.h"
#include "kernels/torch/swiglu.h"

namespace shine::torch_kernels {

MlpSublayer::MlpSublayer(const Weights& weights, std::span<const LoraWeights> lora, at::ScalarType type,
                         const Pass& adapters)
    : weights_(weights),
      adapters_(adapters),
      in_(std::span(weights.linear).first(2), some_of(lora, 0, 2), type, adapters.mask.defined()),
      out_(std::span(weights.linear).subspan(2), some_of(lora, 2, 1), type, adapters.mask.defined()) {}

at::Tensor MlpSublayer::inner(const at::Tensor& x, Saved& saved) const {
  const at::Tensor normed = rms_norm_values(x, weights_.norm, weights_.eps).y;
  saved.reduced_in = in_.reduce(normed, adapters_);
  saved.gate = in_.apply(0, normed, saved.reduced_in, adapters_, /*residual=*/{});
  saved.up = in_.apply(1, normed, saved.reduced_in, adapters_, /*residual=*/{});
  const at::Tensor product = swiglu_values(saved.gate, saved.up);
  saved.reduced_out = out_.reduce(product, adapters_);
  return product;
}

at::Tensor MlpSublayer::forward(const at::Tensor& x, Saved& saved) const {
  const at::Tensor product = inner(x, saved);
  return out_.apply(0, product, saved.reduced_out, adapters_, x);
}

at::Tensor MlpSublayer::infer(const at::Tensor& x) const {
  Saved saved;
  return forward(x, saved);
}

SublayerGradients MlpSublayer::backward(const at::Tensor& dy, const at::Tensor& x, const Saved& saved,
                                        WantedGradients wanted) const {
  SublayerGradients out =
      out_.backward({&dy, 1}, swiglu_values(saved.gate, saved.up), saved.reduced_out, adapters_, {.lora = wanted.lora});
  const auto [to_gate, to_up] = swiglu_gradients(out.x, saved.gate, saved.up);
  out.x.reset();
  const auto [normed, inverse] = rms_norm_values(x, weights_.norm, weights_.eps);
  const std::array<at::Tensor, 2> inner{to_gate, to_up};
  SublayerGradients found = in_.backward(inner, normed, saved.reduced_in, adapters_, wanted);
  found.lora.insert(found.lora.end(), out.lora.begin(), out.lora.end());
  if (wanted.x) found.x = rms_norm_gradient(found.x, x, weights_.norm, inverse, dy);
  return found;
}

}  // namespace shine::torch_kernels
