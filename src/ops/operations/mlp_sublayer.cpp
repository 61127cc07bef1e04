#include "mlp_sublayer.h"

#include <ATen/ATen.h>

#include "../hand_written.h"

namespace shine::operations {

MlpSublayer::MlpSublayer(const MlpWeights& weights, std::span<const SublayerLora> lora, at::ScalarType type,
                         bool masked)
    : weights_(weights),
      in_(std::span(weights.linear).first(2), some_of(lora, 0, 2), type, masked),
      out_(std::span(weights.linear).subspan(2), some_of(lora, 2, 1), type, masked) {}

at::Tensor MlpSublayer::inner(const at::Tensor& x, const TokenAdapters& adapters, Kept& kept) const {
  const at::Tensor normed = rms_norm_values(x, weights_.norm, weights_.eps).y;
  kept.reduced_in = in_.reduce(normed, adapters);
  kept.gate = in_.apply(0, normed, kept.reduced_in, adapters, /*residual=*/{});
  kept.up = in_.apply(1, normed, kept.reduced_in, adapters, /*residual=*/{});
  const at::Tensor product = swiglu_values(kept.gate, kept.up);
  kept.reduced_out = out_.reduce(product, adapters);
  return product;
}

at::Tensor MlpSublayer::forward(const at::Tensor& x, const TokenAdapters& adapters, Kept& kept) const {
  const at::Tensor product = inner(x, adapters, kept);
  return out_.apply(0, product, kept.reduced_out, adapters, x);
}

at::Tensor MlpSublayer::infer(const at::Tensor& x, const TokenAdapters& adapters) const {
  Kept kept;
  return forward(x, adapters, kept);
}

void MlpSublayer::keep(const at::Tensor& x, const TokenAdapters& adapters, Kept& kept) const {
  inner(x, adapters, kept);
}

SublayerGradients MlpSublayer::backward(const at::Tensor& dy, const at::Tensor& x, const Kept& kept,
                                        const TokenAdapters& adapters, WantedGradients wanted) const {
  SublayerGradients out =
      out_.backward({&dy, 1}, swiglu_values(kept.gate, kept.up), kept.reduced_out, adapters, {.lora = wanted.lora});
  const auto [to_gate, to_up] = swiglu_gradients(out.x, kept.gate, kept.up);
  out.x.reset();
  const auto [normed, inverse] = rms_norm_values(x, weights_.norm, weights_.eps);
  const std::array<at::Tensor, 2> inner{to_gate, to_up};
  SublayerGradients found = in_.backward(inner, normed, kept.reduced_in, adapters, wanted);
  found.lora.insert(found.lora.end(), out.lora.begin(), out.lora.end());
  if (wanted.x) found.x = rms_norm_gradient(found.x, x, weights_.norm, inverse, dy);
  return found;
}

}  // namespace shine::operations
