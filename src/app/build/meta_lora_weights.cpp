#include "app/build/meta_lora_weights.h"

#include <ATen/ATen.h>

#include "lora/parameter_names.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/tensor/torch_tensor.h"

namespace shine {
namespace {

bool is_extra(const std::string& name) {
  return name.starts_with(prefix_of(kExtraMetaLoraName));
}

/// "extra_metalora.0.mlp.up.A" -> "metalora.0.mlp.up.A"
std::string first_name(const std::string& extra) {
  return prefix_of(kMetaLoraName) + extra.substr(prefix_of(kExtraMetaLoraName).size());
}

/// Both parts of one tensor: A (1, in, r) along r, B (1, r, out) along r, C (1, out) summed.
at::Tensor join(const std::string& name, const at::Tensor& first, const at::Tensor& extra) {
  if (name.ends_with(".C")) return first + extra;
  return at::cat({first, extra}, name.ends_with(".A") ? -1 : -2);
}

}  // namespace

std::int64_t extra_meta_lora_rank(const RawTensorDict& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (is_extra(name) && name.ends_with(".A") && !tensor.shape.empty()) return tensor.shape.back();
  }
  return 0;
}

void join_extra_meta_lora(RawTensorDict& tensors, std::int64_t rank, const std::string& where) {
  const std::int64_t extra_rank = extra_meta_lora_rank(tensors);
  if (extra_rank == 0) return;
  std::int64_t joined_rank = 0;
  for (auto entry = tensors.begin(); entry != tensors.end();) {
    if (!is_extra(entry->first)) {
      ++entry;
      continue;
    }
    const std::string name = first_name(entry->first);
    const auto first = tensors.find(name);
    SHINE_CHECK(first != tensors.end() && first->second.shape.size() == entry->second.shape.size(), FormatError, where,
                ": ", entry->first, " has no counterpart ", name, " to be joined to");
    const at::Tensor joined = join(name, to_tensor(first->second), to_tensor(entry->second));
    if (name.ends_with(".A")) joined_rank = joined.size(-1);
    first->second = to_raw(joined.contiguous());
    entry = tensors.erase(entry);
  }
  SHINE_CHECK(joined_rank == rank, ConfigError, where,
              ": holds a second Meta-LoRA, which is joined to the first: rank ", joined_rank - extra_rank, " + ",
              extra_rank, " = ", joined_rank, ", not ", rank, " (set hypernetwork.meta_lora_rank=", joined_rank, ")");
  log_info(str("the second Meta-LoRA of rank ", extra_rank, " was joined to the first"));
}

void keep_new_extra_meta_lora(RawTensorDict& tensors, const Hypernetwork& hypernetwork) {
  for (const NamedTensor& named : hypernetwork.tensors()) {
    if (is_extra(named.name)) tensors.insert_or_assign(named.name, to_raw(named.tensor.detach()));
  }
}

}  // namespace shine
