#include "shine/optim/param_groups.h"

#include <algorithm>

namespace shine {
namespace {

const char* group_name(const TrainedParameter& parameter, bool decayed) {
  switch (parameter.group) {
    case ParameterGroup::m2p:
      if (decayed) return "m2p";
      return parameter.decay == Decay::never ? "m2p_no_decay" : "undecayed";
    case ParameterGroup::meta_lora: return decayed ? "meta_lora" : "undecayed";
    case ParameterGroup::backbone: break;
  }
  return decayed ? "backbone" : "backbone_no_decay";
}

}  // namespace

std::int64_t ParamGroup::numel() const {
  std::int64_t total = 0;
  for (const at::Tensor& tensor : tensors) total += tensor.numel();
  return total;
}

std::vector<ParamGroup> make_param_groups(const std::vector<TrainedParameter>& parameters,
                                          const OptimizerConfig& config) {
  std::vector<ParamGroup> groups;
  for (const char* name : {"m2p", "m2p_no_decay", "meta_lora", "undecayed", "backbone", "backbone_no_decay"}) {
    groups.push_back({name, 0.0, {}, {}});
  }
  const Decay least = config.decay == DecayScope::published ? Decay::published_only : Decay::always;
  for (const TrainedParameter& parameter : parameters) {
    const bool decayed = parameter.decay == Decay::always || parameter.decay == least;
    ParamGroup& group = *std::ranges::find(groups, group_name(parameter, decayed), &ParamGroup::name);
    group.weight_decay = decayed ? config.weight_decay : 0.0;
    group.names.push_back(parameter.name);
    group.tensors.push_back(parameter.tensor);
  }
  std::erase_if(groups, [](const ParamGroup& group) { return group.tensors.empty(); });
  return groups;
}

}  // namespace shine
