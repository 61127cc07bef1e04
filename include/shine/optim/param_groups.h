#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "shine/config/optimizer_config.h"

namespace shine {

/// Parameters that share a weight decay and, with per-group clipping, one gradient norm.
struct ParamGroup {
  std::string name;
  double weight_decay = 0.0;
  std::vector<std::string> names;
  std::vector<at::Tensor> tensors;

  std::int64_t numel() const;
};

/// A trained leaf by its checkpoint name, as Hypernetwork::trained or a backbone's parameter list gives it.
struct TrainedTensor {
  std::string name;
  at::Tensor tensor;
};

/// Sorts trained tensors into groups; empty groups are left out (SPEC section 7).
/// ours: "m2p" (decayed), "m2p_no_decay" (biases, norms), "meta_lora" (A and B, decayed), "undecayed" (memory
/// embeddings, positions, new rows, C). published: "m2p" with positions and memory embeddings, "m2p_no_decay",
/// "meta_lora" with C, all but the second decayed. A backbone's tensors: "backbone" (matrices) and
/// "backbone_no_decay" (norms, biases, embeddings).
std::vector<ParamGroup> make_param_groups(const std::vector<TrainedTensor>& tensors, const OptimizerConfig& config);

}  // namespace shine
