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

/// Clips gradients and updates what this rank updates, by AdamW.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;

  /// Sums of squares of gradient_scale * gradient, by place: (places), float64, on any device; 0 where this rank has
  /// no part.
  virtual at::Tensor squares(double gradient_scale) = 0;

  /// Does nothing where the squares, those of all ranks, are not finite.
  /// @return whether it may have changed values
  virtual bool update(const at::Tensor& squares, const StepRates& rates) = 0;
};

/// All references are to what the optimizer keeps.
struct UpdateMemory {
  const std::vector<ParamGroup>& groups;
  const OptimizerConfig& config;
  const ParameterLayout& layout;
  const FlatParameters& flat;
  const Moments& moments;
};

/// By LibTorch's operations, on any device; scales and clips gradients in place.
std::unique_ptr<UpdateRule> make_torch_update(const UpdateMemory& memory);

/// By the GPU's kernels: float32 alone; the host waits for nothing, and gradients stay as they are.
std::unique_ptr<UpdateRule> make_cuda_update(const UpdateMemory& memory);

/// The norms of `squares`, those of all ranks.
StepNorms norms_of(const at::Tensor& squares, const std::vector<ParamGroup>& groups, const ParameterLayout& layout);

}  // namespace shine
