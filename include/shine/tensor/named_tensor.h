#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace shine {

/// A tensor by its checkpoint name.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

}  // namespace shine
