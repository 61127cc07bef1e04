#pragma once

#include <vector>

#include "shine/models/shine/memory_to_params.h"

namespace shine {

/// The ablation baselines: Linear + GELU at every position alone; gated: the last layer is 2 H wide, and
/// sigmoid(first half) * second half is the output.
class M2pLinear : public MemoryToParams {
 public:
  /// `config` is resolved.
  M2pLinear(const M2pConfig& config, const M2pShape& shape, at::ScalarType compute);
  at::Tensor forward(const at::Tensor& memory_states) const override;
  void initialise(at::Generator& generator) const override;

 private:
  struct Linear {
    at::Tensor weight, bias;
  };

  M2pConfig config_;
  at::ScalarType compute_;
  std::vector<Linear> layers_;
};

}  // namespace shine
