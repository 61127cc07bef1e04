#include "ops/graphed_function.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::size_t kForward = 0, kBackward = 1;

using Tensors = GraphedFunction::Tensors;

}  // namespace

/// The works of one size of the input, with their tensors.
class GraphedFunction::Capture {
 public:
  Capture(Replica replica, const Capturer& capturer, const at::Tensor& input)
      : replica_(std::move(replica)), input_(at::empty(input.sizes(), input.options())) {
    input_.copy_(input.detach());
    input_.requires_grad_(input.requires_grad());
    for (const at::Tensor& leaf : leaves()) {
      if (leaf.requires_grad()) wanted_.push_back(leaf);
    }
    {
      const at::NoGradGuard no_grad;
      output_gradient_ = at::zeros_like(replica_.function(input_), at::MemoryFormat::Contiguous);
    }
    work_ = capturer({[this] { compute_output(); }, [this] { compute_gradients(); }}, input.device());
  }

  bool takes(const at::Tensor& input) const {
    return input.sizes() == input_.sizes() && input.dtype() == input_.dtype() && input.device() == input_.device() &&
           input.requires_grad() == input_.requires_grad();
  }

  bool reads(const Tensors& parameters) const {
    return std::equal(parameters.begin(), parameters.end(), replica_.parameters.begin(), replica_.parameters.end(),
                      [](const at::Tensor& given, const at::Tensor& own) {
                        return given.const_data_ptr() == own.const_data_ptr() && given.sizes() == own.sizes() &&
                               given.dtype() == own.dtype() && given.requires_grad() == own.requires_grad();
                      });
  }

  bool is_taken() const { return !taken_.expired(); }

  /// Taken while the result lives.
  std::shared_ptr<void> take() {
    const auto lease = std::make_shared<int>();
    taken_ = lease;
    return lease;
  }

  at::Tensor forward(const at::Tensor& input) {
    const at::NoGradGuard no_grad;
    input_.copy_(input);
    work_->run(kForward);
    return output_.detach().clone();
  }

  /// By the input and every parameter; undefined for those that need none or that the output does not depend on.
  Tensors backward(const at::Tensor& output_gradient) {
    const at::NoGradGuard no_grad;
    output_gradient_.copy_(output_gradient);
    work_->run(kBackward);
    Tensors all;
    auto next = gradients_.begin();
    for (const at::Tensor& leaf : leaves()) all.push_back(leaf.requires_grad() ? *next++ : at::Tensor());
    if (all[0].defined()) all[0] = all[0].clone();
    return all;
  }

  /// After the backward: without a capture the values are recomputed, so they need not stay.
  void drop_values() {
    if (work_->captures()) return;
    output_.reset();
    gradients_.clear();
  }

 private:
  Tensors leaves() const {
    Tensors all{input_};
    all.insert(all.end(), replica_.parameters.begin(), replica_.parameters.end());
    return all;
  }

  /// Retains the autograd graph, and with it the saved activations.
  void compute_output() {
    const at::AutoGradMode with_gradient(true);
    output_.reset();  // and its graph: two need not be there at once
    gradients_.clear();
    output_ = replica_.function(input_);
  }

  /// Retains the graph: the backward of a retained graph comes again.
  void compute_gradients() {
    gradients_ = torch::autograd::grad({output_}, wanted_, {output_gradient_}, /*retain_graph=*/true,
                                       /*create_graph=*/false, /*allow_unused=*/true);
  }

  Replica replica_;
  at::Tensor input_, output_, output_gradient_;
  Tensors wanted_, gradients_;
  std::weak_ptr<void> taken_;
  std::unique_ptr<GraphedWork> work_;
};

/// Stands for the whole function in the graph.
class GraphedFunction::Node : public torch::autograd::Node {
 public:
  Node(std::shared_ptr<Capture> capture, const Tensors& parameters)
      : captured_(std::move(capture)), lease_(captured_->take()) {
    for (const at::Tensor& parameter : parameters) saved_.emplace_back(parameter, /*is_output=*/false);
  }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    // Nothing that was made from the output reached the loss.
    if (!gradients[0].defined()) return torch::autograd::variable_list(saved_.size() + 1);
    if (at::GradMode::is_enabled()) {
      throw UnsupportedError("gradients of gradients are not captured", "a graphed function",
                             "compute them without CUDA graphs");
    }
    SHINE_CHECK(lease_, Error, "a graphed function: a second backward of a graph that was not retained");
    // Throws where a parameter was changed in place.
    for (const torch::autograd::SavedVariable& saved : saved_) saved.unpack();
    return captured_->backward(gradients[0]);
  }

  void release_variables() override {
    for (auto& saved : saved_) saved.reset_data();
    if (lease_) captured_->drop_values();  // comes again when the node goes, when another forward may hold the capture
    lease_.reset();
  }

  std::string name() const override { return "GraphedFunction"; }

 private:
  std::shared_ptr<Capture> captured_;
  std::shared_ptr<void> lease_;
  std::vector<torch::autograd::SavedVariable> saved_;
};

GraphedFunction::GraphedFunction(Function function, std::function<Replica()> replicate, Capturer capturer)
    : function_(std::move(function)), replicate_(std::move(replicate)), capturer_(std::move(capturer)) {}

GraphedFunction::~GraphedFunction() = default;

at::Tensor GraphedFunction::operator()(const at::Tensor& input, const Tensors& parameters) {
  Tensors inputs{input};
  inputs.insert(inputs.end(), parameters.begin(), parameters.end());
  if (!at::GradMode::is_enabled() || !torch::autograd::any_variable_requires_grad(inputs)) {
    return function_(input);
  }
  const std::shared_ptr<Capture> capture = free_capture(input, parameters);
  if (!capture) return function_(input);
  const auto node = std::shared_ptr<Node>(new Node(capture, parameters), torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  at::Tensor output = capture->forward(input);
  torch::autograd::create_gradient_edge(output, node);
  return output;
}

/// Null where the function is to be called.
std::shared_ptr<GraphedFunction::Capture> GraphedFunction::free_capture(const at::Tensor& input,
                                                                        const Tensors& parameters) {
  std::erase_if(captured_, [&](const auto& capture) { return !capture->reads(parameters); });
  for (const auto& capture : captured_) {
    if (capture->takes(input)) return capture->is_taken() ? nullptr : capture;
  }
  if (captured_.size() == kMostCaptures) return nullptr;
  return captured_.emplace_back(std::make_shared<Capture>(replicate_(), capturer_, input));
}

std::unique_ptr<GraphedWork> GraphedFunction::capture_on_gpu(std::vector<GraphedWork::Part> parts, c10::Device device) {
  return std::make_unique<GraphedWork>(std::move(parts), device, /*capture=*/true);
}

}  // namespace shine
