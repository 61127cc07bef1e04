#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace shine {

/// Activation checkpointing: runs `function` without saving its intermediate values and runs it again in the
/// backward. Every tensor that needs a gradient must be among `inputs`, which the function is given, or among
/// `parameters`, leaves that it reads by itself (a module's): anything else it captures counts as constant. Undefined
/// inputs are passed through as they are. The function must be deterministic and return a new tensor, not one of its
/// inputs. Neither may be changed in place before the backward (c10::Error then), and a second backward needs a
/// retained graph.
at::Tensor recompute(std::function<at::Tensor(const std::vector<at::Tensor>&)> function, std::vector<at::Tensor> inputs,
                     std::vector<at::Tensor> parameters = {});

}  // namespace shine
