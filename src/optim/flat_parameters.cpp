#include "optim/flat_parameters.h"

#include <ATen/ATen.h>

#include "shine/common/error.h"

namespace shine {

FlatParameters::FlatParameters(const std::vector<ParamGroup>& groups, const ParameterLayout& layout)
    : places_(layout.places()) {
  const at::NoGradGuard no_grad;
  for (const ParameterLayout::Place& place : places_) {
    const at::Tensor& tensor = groups[place.group].tensors[place.index];
    const at::Tensor& first = tensors_.empty() ? tensor : tensors_.front();
    SHINE_CHECK(tensor.dtype() == first.dtype() && tensor.device() == first.device(), ShapeError,
                groups[place.group].names[place.index], " is ", tensor.dtype().name(), " on ", tensor.device().str(),
                ", other trained tensors are ", first.dtype().name(), " on ", first.device().str());
    tensors_.push_back(tensor);
  }
  const auto options = tensors_.empty() ? at::TensorOptions() : tensors_.front().options().requires_grad(false);
  values_ = at::zeros({layout.numel()}, options);
  gradients_ = at::zeros({layout.numel()}, options);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const at::Tensor home = view(values_, i);
    home.copy_(tensors_[i]);
    tensors_[i].set_data(home);
  }
  collect_gradients();
}

at::Tensor FlatParameters::view(const at::Tensor& flat, std::size_t place) const {
  return flat.narrow(0, places_[place].begin, places_[place].numel).view(tensors_[place].sizes());
}

void FlatParameters::collect_gradients() {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    at::Tensor& gradient = tensors_[i].mutable_grad();
    const at::Tensor home = view(gradients_, i);
    if (gradient.defined() && gradient.const_data_ptr() == home.const_data_ptr()) continue;
    if (gradient.defined()) {
      home.copy_(gradient);
    } else {
      home.zero_();
    }
    gradient = home;
  }
}

}  // namespace shine
