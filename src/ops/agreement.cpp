#include "ops/agreement.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "kernels/fused.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"

namespace shine {
namespace {

/// The value, its gradients by the inputs and parameters, and the value in inference mode.
std::vector<at::Tensor> results_of(const Form& form, const FormInputs& inputs,
                                   const std::vector<at::Tensor>& parameters) {
  const c10::InferenceMode off(false);
  const at::AutoGradMode with_gradient(true);
  FormInputs leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.detach().clone().requires_grad_(true));
  const at::Tensor value = form(leaves);
  std::vector<at::Tensor> results{value.detach()};
  if (value.requires_grad()) {
    std::vector<at::Tensor> sources = leaves;
    sources.insert(sources.end(), parameters.begin(), parameters.end());
    const at::Tensor slope =
        at::arange(1, value.numel() + 1, value.options()).remainder_(7).sub_(3).view(value.sizes());
    for (const at::Tensor& each : torch::autograd::grad({value}, sources, {slope}, /*retain_graph=*/std::nullopt,
                                                        /*create_graph=*/false, /*allow_unused=*/true)) {
      results.push_back(each);
    }
  }
  const c10::InferenceMode inference;
  results.push_back(form(inputs));
  return results;
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined() ? 0.0 : 1.0;
  const at::Tensor wide = b.to(at::kDouble);
  return ((a.to(at::kDouble) - wide).norm() / wide.norm().clamp_min(1e-30)).item<double>();
}

}  // namespace

FormInputs form_inputs(const std::vector<std::vector<std::int64_t>>& shapes, double deviation) {
  const c10::InferenceMode off(false);
  at::Generator generator = at::detail::createCPUGenerator(1);
  FormInputs inputs;
  for (const auto& shape : shapes) inputs.push_back(at::zeros(shape).normal_(0.0, deviation, generator));
  return inputs;
}

void perturb_vectors(const std::vector<at::Tensor>& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<std::int64_t>> shapes;
  for (const at::Tensor& parameter : parameters) shapes.push_back(parameter.sizes().vec());
  const FormInputs added = form_inputs(shapes, 0.3);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].dim() == 1) at::Tensor(parameters[i]).add_(added[i]);
  }
}

bool forms_agree(std::string_view name, const Form& readable, const Form& fused, const FormInputs& inputs,
                 const std::vector<at::Tensor>& parameters, double tolerance) {
  std::string fault;
  try {
    std::vector<at::Tensor> expected;
    {
      const ReferenceForms references;
      expected = results_of(readable, inputs, parameters);
    }
    const std::vector<at::Tensor> found = results_of(fused, inputs, parameters);
    double worst = found.size() == expected.size() ? 0.0 : 1.0;
    for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
      const double each = distance(found[i], expected[i]);
      worst = each <= worst ? worst : each;  // takes a NaN
    }
    if (worst <= tolerance) return true;
    fault = str("differs from the readable form by ", worst, " of its norm");
  } catch (const c10::Error& error) {
    fault = str("failed: ", error.what_without_backtrace());
  } catch (const std::exception& error) {
    fault = str("failed: ", error.what());
  }
  log_warning(str(name, ": the faster form ", fault, "; the readable form runs"));
  return false;
}

bool outside_inference_mode(const std::function<bool()>& compare) {
  const c10::InferenceMode off(false);
  return compare();
}

}  // namespace shine
