#include "app/build/meta_lora_start.h"

#include <ATen/ATen.h>

#include <map>
#include <string>

#include "app/adapt/load_adapters.h"
#include "lora/parameter_names.h"
#include "shine/common/error.h"
#include "shine/tensor/named_tensor.h"

namespace shine {

Adapter read_meta_lora_start(const ExperimentConfig& config) {
  Adapter adapter = load_adapters({{config.stage.meta_lora_from, 1.0}}, config.model.path, /*any_backbone=*/false);
  SHINE_CHECK(adapter.tree.rank() <= config.hypernetwork.meta_lora_rank, ConfigError,
              "stage.meta_lora_from: ", adapter.where, " has rank ", adapter.tree.rank(),
              ", more than the Meta-LoRA's ", config.hypernetwork.meta_lora_rank,
              " (set hypernetwork.meta_lora_rank=", adapter.tree.rank(), ")");
  return adapter;
}

void start_meta_lora(Hypernetwork& hypernetwork, Adapter adapter) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> parameters;
  for (const NamedTensor& named : hypernetwork.tensors()) parameters[named.name] = named.tensor;
  for_each_tensor(adapter.tree, [&](const std::string& name, at::Tensor& value) {
    const auto found = parameters.find(prefix_of(kMetaLoraName) + name);
    if (found == parameters.end()) {
      SHINE_CHECK(!value.any().item<bool>(), UnsupportedError, "stage.meta_lora_from: ", adapter.where, ": ", name,
                  " is not zero, and the Meta-LoRA has no such term (use an adapter without biases)");
      return;
    }
    at::Tensor& parameter = found->second;
    if (name.ends_with(".A")) {
      parameter.narrow(/*dim=*/2, 0, value.size(2)).copy_(value);
    } else if (name.ends_with(".B")) {
      parameter.narrow(/*dim=*/1, 0, value.size(1)).copy_(value);
    } else {
      parameter.copy_(value);
    }
  });
}

}  // namespace shine
