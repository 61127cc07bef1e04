#include "shine/optim/adamw.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

#include "shine/common/error.h"

namespace shine {
namespace {

/// PyTorch's clip_grad_norm_: clip / (norm + 1e-6), never above 1.
double clip_factor(double norm, double limit) {
  return std::min(1.0, limit / (norm + 1e-6));
}

/// Norm of each gradient, with one transfer from the device.
std::vector<double> norms_of(const std::vector<at::Tensor>& gradients, double scale) {
  const at::Tensor norms = (at::stack(at::_foreach_norm(gradients, 2)).to(at::kDouble) * scale).to(at::kCPU);
  const auto* values = norms.const_data_ptr<double>();
  return {values, values + norms.numel()};
}

double sum_of_squares(const std::vector<double>& values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

}  // namespace

AdamW::AdamW(std::vector<ParamGroup> groups, const OptimizerConfig& config)
    : groups_(std::move(groups)), config_(config) {
  for (const ParamGroup& group : groups_) {
    Moments moments;
    for (const at::Tensor& tensor : group.tensors) {
      moments.first.push_back(at::zeros_like(tensor).detach());
      moments.second.push_back(at::zeros_like(tensor).detach());
      moments.steps.push_back(at::zeros({}, tensor.options().dtype(at::kFloat).requires_grad(false)));
    }
    moments_.push_back(std::move(moments));
  }
}

std::vector<std::vector<at::Tensor>> AdamW::collect_gradients() const {
  std::vector<std::vector<at::Tensor>> all;
  for (const ParamGroup& group : groups_) {
    std::vector<at::Tensor>& gradients = all.emplace_back();
    for (const at::Tensor& tensor : group.tensors) {
      gradients.push_back(tensor.grad().defined() ? tensor.grad() : at::zeros_like(tensor).detach());
    }
  }
  return all;
}

StepNorms AdamW::step(double learning_rate, double gradient_scale) {
  const at::NoGradGuard no_grad;
  auto gradients = collect_gradients();
  StepNorms norms;
  double squares = 0.0;
  for (const auto& group : gradients) {
    norms.tensor_norms.push_back(norms_of(group, gradient_scale));
    const double square = sum_of_squares(norms.tensor_norms.back());
    norms.group_norms.push_back(std::sqrt(square));
    squares += square;
  }
  norms.global_norm = std::sqrt(squares);
  norms.finite = std::isfinite(squares);
  if (!norms.finite) return norms;
  ++steps_;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    double factor = gradient_scale;
    if (config_.clip == ClipKind::global) factor *= clip_factor(norms.global_norm, config_.clip_norm);
    if (config_.clip == ClipKind::per_group) factor *= clip_factor(norms.group_norms[i], config_.clip_norm);
    if (factor != 1.0) at::_foreach_mul_(gradients[i], factor);
    update_group(i, gradients[i], learning_rate);
  }
  return norms;
}

void AdamW::update_group(std::size_t index, std::vector<at::Tensor>& gradients, double learning_rate) {
  Moments& moments = moments_[index];
  at::_foreach_add_(moments.steps, 1.0);
  at::_fused_adamw_(groups_[index].tensors, gradients, moments.first, moments.second, /*max_exp_avg_sqs=*/{},
                    moments.steps, learning_rate, config_.beta1, config_.beta2, groups_[index].weight_decay,
                    config_.epsilon, /*amsgrad=*/false, /*maximize=*/false);
}

void AdamW::zero_gradients() {
  for (const ParamGroup& group : groups_) {
    for (const at::Tensor& tensor : group.tensors) {
      if (tensor.grad().defined()) tensor.mutable_grad().detach_().zero_();
    }
  }
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    for (std::size_t j = 0; j < groups_[i].names.size(); ++j) {
      all.emplace_back("exp_avg." + groups_[i].names[j], moments_[i].first[j]);
      all.emplace_back("exp_avg_sq." + groups_[i].names[j], moments_[i].second[j]);
    }
  }
  return all;
}

void AdamW::load_state(const std::map<std::string, at::Tensor>& moments, std::int64_t steps) {
  const auto mine = state();
  SHINE_CHECK(moments.size() == mine.size(), FormatError, "optimizer state of ", moments.size(), " tensors, expected ",
              mine.size());
  for (const auto& [name, tensor] : mine) {
    const auto found = moments.find(name);
    SHINE_CHECK(found != moments.end(), FormatError, "optimizer state lacks ", name);
    SHINE_CHECK(found->second.sizes() == tensor.sizes(), FormatError, "optimizer state ", name, " has shape ",
                found->second.sizes(), ", expected ", tensor.sizes());
  }
  for (const auto& [name, tensor] : mine) tensor.copy_(moments.at(name));
  steps_ = steps;
  for (const Moments& group : moments_) {
    for (const at::Tensor& count : group.steps) count.fill_(static_cast<double>(steps));
  }
}

}  // namespace shine
