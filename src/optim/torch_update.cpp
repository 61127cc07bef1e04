#include <ATen/ATen.h>

#include <algorithm>

#include "optim/update_rule.h"

namespace shine {
namespace {

/// PyTorch's clip_grad_norm_.
double clip_factor(double norm, double limit) {
  return std::min(1.0, limit / (norm + 1e-6));
}

class TorchUpdate : public UpdateRule {
 public:
  explicit TorchUpdate(const UpdateMemory& memory) : memory_(memory) {}

  at::Tensor squares(double gradient_scale) override {
    at::Tensor squares = at::zeros({static_cast<std::int64_t>(memory_.layout.places().size())}, at::kDouble);
    const std::vector<Moments::Part>& parts = memory_.moments.parts();
    if (parts.empty()) return squares;
    std::vector<at::Tensor> gradients;
    for (const Moments::Part& part : parts) gradients.push_back(part.gradient);
    const at::Tensor norms =  // one transfer from the device
        (at::stack(at::_foreach_norm(gradients, 2)).to(at::kDouble) * gradient_scale).to(at::kCPU);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const double norm = norms.const_data_ptr<double>()[i];
      squares.mutable_data_ptr<double>()[parts[i].place] += norm * norm;
    }
    return squares;
  }

  bool update(const at::Tensor& squares, const StepRates& rates) override {
    const StepNorms norms = norms_of(squares, memory_.groups, memory_.layout);
    if (!norms.finite) return false;
    const OptimizerConfig& config = memory_.config;
    for (std::size_t group = 0; group < memory_.groups.size(); ++group) {
      double factor = rates.gradient_scale;
      if (config.clip == ClipKind::global) factor *= clip_factor(norms.global_norm, config.clip_norm);
      if (config.clip == ClipKind::per_group) factor *= clip_factor(norms.group_norms[group], config.clip_norm);
      update_group(group, factor, rates);
    }
    return true;
  }

 private:
  /// With g = factor * gradient, t the step, w the group's weight decay:
  ///   first = beta1 first + (1 - beta1) g,  second = beta2 second + (1 - beta2) g^2
  ///   value = (1 - rate w) value - rate (first / (1 - beta1^t)) / (sqrt(second / (1 - beta2^t)) + epsilon)
  void update_group(std::size_t group, double factor, const StepRates& rates) const {
    std::vector<at::Tensor> values, gradients, first, second;
    for (const Moments::Part& part : memory_.moments.parts()) {
      if (part.group != group) continue;
      values.push_back(part.value);
      gradients.push_back(part.gradient);
      first.push_back(part.first);
      second.push_back(part.second);
    }
    if (values.empty()) return;
    if (factor != 1.0) at::_foreach_mul_(gradients, factor);
    const at::Tensor step = at::full({}, rates.step, values.front().options().dtype(at::kFloat));
    const OptimizerConfig& config = memory_.config;
    at::_fused_adamw_(values, gradients, first, second, /*max_exp_avg_sqs=*/{},
                      /*state_steps=*/std::vector<at::Tensor>(values.size(), step), rates.learning_rate, config.beta1,
                      config.beta2, memory_.groups[group].weight_decay, config.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
  }

  UpdateMemory memory_;
};

}  // namespace

std::unique_ptr<UpdateRule> make_torch_update(const UpdateMemory& memory) {
  return std::make_unique<TorchUpdate>(memory);
}

}  // namespace shine
