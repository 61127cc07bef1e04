#include "bench/random_weights.h"

#include <ATen/ATen.h>

#include <cmath>

#include "lora/parameter_names.h"

namespace shine::bench {

void draw_on_device(Decoder& decoder, double gain, std::uint64_t seed) {
  at::manual_seed(seed);
  const auto options = at::TensorOptions().dtype(decoder.options().dtype).device(decoder.options().device);
  for (const auto& [name, weight] : named_tensors(decoder)) {
    const at::Tensor values = at::zeros(weight.sizes(), options);
    if (name == "model.embed_tokens.weight") {
      values.normal_(0.0,
                     decoder.config().tied_embeddings ? 1.0 / std::sqrt(static_cast<double>(values.size(1))) : 1.0);
    } else if (values.dim() == 2) {
      values.normal_(0.0, gain / std::sqrt(static_cast<double>(values.size(1))));
    } else if (name.ends_with("norm.weight")) {
      values.fill_(1.0);
    }
    set_values(weight, values);
  }
}

void draw_on_device(Hypernetwork& hypernetwork) {
  const at::NoGradGuard no_grad;
  const at::Device device = hypernetwork.decoder().device();
  allocate_parameters(hypernetwork, at::TensorOptions().dtype(at::kFloat).device(device));
  hypernetwork.to(device);  // buffers
  for (const NamedTensor& named : hypernetwork.tensors()) {
    const bool norm = named.name.find("norm") != std::string::npos && named.name.ends_with("weight");
    if (named.name.starts_with(prefix_of(kMetaLoraName)) && named.name.ends_with(".A")) {
      named.tensor.normal_(0.0, std::sqrt(hypernetwork.options().config.meta_lora_scale));
    } else if (norm) {
      named.tensor.fill_(1.0);
    } else if (named.name.ends_with("weight")) {
      const double bound = 1.0 / std::sqrt(static_cast<double>(named.tensor.size(1)));
      named.tensor.uniform_(-bound, bound);
    } else {
      named.tensor.zero_();
    }
  }
}

}  // namespace shine::bench
