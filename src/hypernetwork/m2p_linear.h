#pragma once

#include <vector>

#include "shine/hypernetwork/memory_to_params.h"
#include "shine/nn/linear.h"

namespace shine {

/// The ablation baselines: Linear + GELU, position by position. `lineargate`: the last layer is 2 H wide, and the
/// output is sigmoid(first half) * second half.
class M2pLinear : public MemoryToParams {
 public:
  /// `config` is resolved.
  M2pLinear(const M2pConfig& config, const M2pShape& shape, at::ScalarType compute);
  at::Tensor forward(const at::Tensor& memory_states) const override;
  void initialise(at::Generator& generator) override;

 private:
  M2pConfig config_;
  std::vector<Linear> layers_;
};

}  // namespace shine
