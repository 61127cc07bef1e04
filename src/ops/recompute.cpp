#include "ops/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

namespace shine {
namespace {

using Tensors = std::vector<at::Tensor>;
using Function = std::function<at::Tensor(const Tensors&)>;

/// The node that stands for the whole function in the graph.
class RecomputeNode : public torch::autograd::Node {
 public:
  /// @param all  the function's inputs, then the parameters
  RecomputeNode(Function function, const Tensors& all, std::size_t inputs)
      : function_(std::move(function)), inputs_(inputs) {
    for (const at::Tensor& each : all) {
      needs_gradient_.push_back(each.defined() && each.requires_grad());
      saved_.emplace_back(each, /*is_output=*/false);
    }
  }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    // Nothing that was made from the output reached the loss.
    if (!gradients[0].defined()) return torch::autograd::variable_list(saved_.size());
    Tensors inputs, wanted;
    for (std::size_t i = 0; i < saved_.size(); ++i) {
      at::Tensor held = saved_[i].unpack();
      if (i < inputs_) {
        if (held.defined()) held = held.detach().requires_grad_(needs_gradient_[i]);
        inputs.push_back(held);
      }
      if (needs_gradient_[i]) wanted.push_back(held);
    }
    Tensors found;
    {
      const at::AutoGradMode with_gradient(true);
      const at::Tensor output = function_(inputs);
      if (!output.requires_grad()) return torch::autograd::variable_list(saved_.size());
      found = torch::autograd::grad({output}, wanted, {gradients[0]}, /*retain_graph=*/std::nullopt,
                                    /*create_graph=*/false, /*allow_unused=*/true);
    }
    torch::autograd::variable_list result;
    auto next = found.begin();
    for (const bool needed : needs_gradient_) result.push_back(needed ? *next++ : at::Tensor());
    return result;
  }

  void release_variables() override {
    for (auto& variable : saved_) variable.reset_data();
  }

  std::string name() const override { return "Recompute"; }

 private:
  Function function_;
  std::size_t inputs_;
  std::vector<bool> needs_gradient_;
  std::vector<torch::autograd::SavedVariable> saved_;
};

}  // namespace

at::Tensor recompute(Function function, Tensors inputs, Tensors parameters) {
  Tensors all = inputs;
  all.insert(all.end(), parameters.begin(), parameters.end());
  if (!at::GradMode::is_enabled() || !torch::autograd::any_variable_requires_grad(all)) return function(inputs);
  const auto node =
      std::shared_ptr<RecomputeNode>(new RecomputeNode(function, all, inputs.size()), torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(all));
  at::Tensor output;
  {
    const at::AutoGradMode without_gradient(false);
    output = function(inputs);
  }
  torch::autograd::create_gradient_edge(output, node);
  return output;
}

}  // namespace shine
