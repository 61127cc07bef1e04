#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "shine/config/optimizer_config.h"
#include "shine/optim/param_groups.h"

namespace shine {

/// What one call of AdamW::step did.
struct StepNorms {
  std::vector<double> group_norms;                ///< of the gradient, before clipping, in the order of the groups
  std::vector<std::vector<double>> tensor_norms;  ///< the same for each tensor of each group
  double global_norm = 0.0;
  bool finite = true;  ///< false: the gradient was not finite and nothing was changed
};

/// AdamW with decoupled weight decay over parameter groups (Loshchilov and Hutter), with gradient clipping.
/// Moments have the parameters' dtype (trained leaves are float32) and device.
class AdamW {
 public:
  AdamW(std::vector<ParamGroup> groups, const OptimizerConfig& config);

  /// Clips the gradients (`grad` of each tensor; a missing one counts as zero) in place and updates the parameters.
  /// `gradient_scale` multiplies the gradients first. A gradient that is not finite skips the step.
  StepNorms step(double learning_rate, double gradient_scale = 1.0);

  /// Sets the gradients that exist to zero, in place.
  void zero_gradients();

  const std::vector<ParamGroup>& groups() const { return groups_; }

  /// Steps taken (skipped ones not counted): the t of the bias correction.
  std::int64_t steps() const { return steps_; }

  /// The moments by name: "exp_avg.NAME", "exp_avg_sq.NAME". Not copies: later steps change them.
  std::vector<std::pair<std::string, at::Tensor>> state() const;

  /// Restores what `state` and `steps` gave. Throws FormatError for missing, unexpected or mis-shaped moments;
  /// nothing is changed then.
  void load_state(const std::map<std::string, at::Tensor>& moments, std::int64_t steps);

 private:
  struct Moments {
    std::vector<at::Tensor> first, second, steps;
  };

  std::vector<std::vector<at::Tensor>> collect_gradients() const;
  void update_group(std::size_t index, std::vector<at::Tensor>& gradients, double learning_rate);

  std::vector<ParamGroup> groups_;
  OptimizerConfig config_;
  std::vector<Moments> moments_;
  std::int64_t steps_ = 0;
};

}  // namespace shine
