#pragma once

#include <ATen/core/Tensor.h>

#include "optim/parameter_layout.h"

namespace shine {

/// Values and gradients of all trained tensors, each in one buffer: the tensors and their `grad` become views of it.
class FlatParameters {
 public:
  /// Moves the tensors' storage; their values stay. Throws ShapeError where they differ in dtype or device.
  FlatParameters(const std::vector<ParamGroup>& groups, const ParameterLayout& layout);

  const at::Tensor& values() const { return values_; }        ///< (layout.numel())
  const at::Tensor& gradients() const { return gradients_; }  ///< (layout.numel())

  /// Copies gradients that have replaced the views into the buffer; a missing one becomes zero.
  void collect_gradients();

 private:
  at::Tensor view(const at::Tensor& flat, std::size_t place) const;

  std::vector<at::Tensor> tensors_;  ///< by place
  std::vector<ParameterLayout::Place> places_;
  at::Tensor values_, gradients_;
};

}  // namespace shine
