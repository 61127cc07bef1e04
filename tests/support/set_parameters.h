#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <span>

#include "shine/nn/module.h"

namespace shine::test {

/// Makes every parameter of `module` a copy of the tensor in its place, dtype and sizes too, with the graph that leads
/// to it: gradients of what the module then computes are those of `values`.
inline void set_parameters(const torch::nn::Module& module, std::span<const at::Tensor> values) {
  const std::vector<at::Tensor> parameters = module.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor parameter = parameters[i].detach_();  // of what it was set to before
    set_values(parameter, at::empty_like(values[i]).detach());
    parameter.copy_(values[i]);
  }
}

}  // namespace shine::test
