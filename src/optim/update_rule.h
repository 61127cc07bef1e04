#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "optim/moments.h"
#include "shine/config/optimizer_config.h"
#include "shine/optim/adamw.h"

namespace shine {

/// The numbers of one step.
struct StepRates {
  double learning_rate = 0.0;
  double gradient_scale = 1.0;
  std::int64_t step = 1;  ///< the t of the bias correction
};

/// Clips gradients and updates this rank's values by AdamW.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;

  /// Sum of squares of gradient_scale * gradient of each tensor: (places), float64, on any device; 0 where this rank
  /// has no part of it.
  virtual at::Tensor squares(double gradient_scale) = 0;

  /// Does nothing if the squares, summed over all ranks, are not finite.
  /// @return whether it may have changed values
  virtual bool update(const at::Tensor& squares, const StepRates& rates) = 0;
};

/// All references are to members of the optimizer.
struct UpdateMemory {
  const std::vector<ParamGroup>& groups;
  const OptimizerConfig& config;
  const ParameterLayout& layout;
  const FlatParameters& flat;
  const Moments& moments;
};

/// The reference, by LibTorch's operations, on any device; scales and clips gradients in place.
std::unique_ptr<UpdateRule> make_torch_update(const UpdateMemory& memory);

/// By CUDA kernels: float32 only; the host does not wait, and gradients stay as they are.
std::unique_ptr<UpdateRule> make_cuda_update(const UpdateMemory& memory);

/// The norms of `squares`, summed over all ranks.
StepNorms norms_of(const at::Tensor& squares, const std::vector<ParamGroup>& groups, const ParameterLayout& layout);

}  // namespace shine
