#include "ops/narrow_linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "shine/common/error.h"

namespace shine {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Of bfloat16 matrices, in float32.
at::Tensor product(const at::Tensor& left, const at::Tensor& right) {
  return left.is_cuda() ? at::mm(left, right, at::kFloat) : left.to(at::kFloat).mm(right.to(at::kFloat));
}

class NarrowLinear : public torch::autograd::Function<NarrowLinear> {
 public:
  /// @param x  (N, in)
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    const at::Tensor left = x.to(at::kBFloat16), right = weight.to(at::kBFloat16);
    context->save_for_backward({left, right});
    return product(left, right.t());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], rounded = gradients[0].to(at::kBFloat16);
    variable_list found(2);
    if (context->needs_input_grad(0)) found[0] = product(rounded, weight);
    if (context->needs_input_grad(1)) found[1] = product(rounded.t(), x);
    return found;
  }
};

}  // namespace

at::Tensor narrow_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool fits = x.dim() > 0 && weight.dim() == 2 && x.size(-1) == weight.size(1) &&
                    (!bias.defined() || bias.sizes() == at::IntArrayRef({weight.size(0)}));
  SHINE_CHECK(fits, ShapeError, "linear map: x ", x.sizes(), ", weight ", weight.sizes(), ": expected (.., in), (out, ",
              "in), bias (out)");
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  const at::Tensor y = NarrowLinear::apply(x.reshape({-1, x.size(-1)}), weight).view(sizes);
  return bias.defined() ? y + bias : y;
}

}  // namespace shine
