#include "shine/optim/param_groups.h"

#include <array>
#include <string_view>

namespace shine {
namespace {

enum class Group { m2p, m2p_no_decay, meta_lora, undecayed, backbone, backbone_no_decay };

struct GroupKind {
  std::string_view name;
  bool decayed;
};

constexpr std::array<GroupKind, 6> kGroups{{{"m2p", true},
                                            {"m2p_no_decay", false},
                                            {"meta_lora", true},
                                            {"undecayed", false},
                                            {"backbone", true},
                                            {"backbone_no_decay", false}}};

/// The published rule: every M2P name that contains one of these is not decayed.
bool is_bias_or_norm(const std::string& name) {
  for (const char* part : {"bias", "norm1", "norm2"}) {
    if (name.find(part) != std::string::npos) return true;
  }
  return false;
}

Group group_of(const TrainedTensor& trained, DecayScope scope) {
  const std::string& name = trained.name;
  const bool ours = scope == DecayScope::ours;
  if (name.starts_with("metanetwork.")) {
    if (is_bias_or_norm(name)) return Group::m2p_no_decay;
    return ours && name.ends_with("_pe") ? Group::undecayed : Group::m2p;
  }
  if (name.find("metalora.") != std::string::npos) {
    return ours && name.ends_with(".C") ? Group::undecayed : Group::meta_lora;
  }
  if (name == "mem_tokens" || name == "new_token_rows") return ours ? Group::undecayed : Group::m2p;
  const bool matrix = trained.tensor.dim() == 2 && name.find("embed_tokens") == std::string::npos;
  return matrix ? Group::backbone : Group::backbone_no_decay;
}

}  // namespace

std::int64_t ParamGroup::numel() const {
  std::int64_t total = 0;
  for (const at::Tensor& tensor : tensors) total += tensor.numel();
  return total;
}

std::vector<ParamGroup> make_param_groups(const std::vector<TrainedTensor>& tensors, const OptimizerConfig& config) {
  std::array<ParamGroup, kGroups.size()> all;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].name = kGroups[i].name;
    all[i].weight_decay = kGroups[i].decayed ? config.weight_decay : 0.0;
  }
  for (const TrainedTensor& trained : tensors) {
    ParamGroup& group = all[static_cast<std::size_t>(group_of(trained, config.decay))];
    group.names.push_back(trained.name);
    group.tensors.push_back(trained.tensor);
  }
  std::vector<ParamGroup> used;
  for (ParamGroup& group : all) {
    if (!group.tensors.empty()) used.push_back(std::move(group));
  }
  return used;
}

}  // namespace shine
