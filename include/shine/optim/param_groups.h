#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/optimizer_config.h"
#include "shine/nn/parameter.h"

namespace shine {

/// Parameters that share a weight decay and, with per-group clipping, one gradient norm.
struct SHINE_API ParamGroup {
  std::string name;
  double weight_decay = 0.0;
  std::vector<std::string> names;
  std::vector<at::Tensor> tensors;

  std::int64_t numel() const;
};

/// Sorts parameters into groups by what they were registered as; without empty groups. In this order: "m2p",
/// "m2p_no_decay", "meta_lora", "undecayed" (Decay::published_only of both, unless `optimizer.decay` is published),
/// "backbone", "backbone_no_decay".
SHINE_API std::vector<ParamGroup> make_param_groups(const std::vector<TrainedParameter>& parameters,
                                                    const OptimizerConfig& config);

}  // namespace shine
