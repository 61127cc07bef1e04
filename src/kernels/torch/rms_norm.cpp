#include "kernels/torch/rms_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/cuda/cuda_ops.h"

namespace shine::torch_kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::ScalarType accumulation_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

bool takes_kernel(const at::Tensor& x, const at::Tensor& weight) {
  return takes_cuda_kernel(CudaKernel::rms_norm, x) && weight.scalar_type() == x.scalar_type();
}

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double eps) {
    const auto [y, inverse] = rms_norm_values(x, weight, eps);
    context->save_for_backward({x, weight, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2], &dy = gradients[0];
    at::Tensor to_x, to_weight;
    if (context->needs_input_grad(0)) to_x = rms_norm_gradient(dy, x, weight, inverse, {});
    if (context->needs_input_grad(1)) to_weight = weight_gradient(dy, x, weight, inverse);
    return {to_x, to_weight, at::Tensor()};
  }

 private:
  static at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                    const at::Tensor& inverse) {
    if (takes_kernel(x, weight)) return cuda_rms_norm_weight_gradient(dy, x, inverse);
    const at::Tensor normalised = (x.to(inverse.scalar_type()) * inverse).to(x.scalar_type());
    return (dy * normalised).reshape({-1, weight.size(0)}).sum(0);
  }
};

}  // namespace

NormValues rms_norm_values(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (takes_kernel(x, weight)) {
    const CudaRmsNorm result = cuda_rms_norm(x, weight, eps);
    return {result.y, result.inverse};
  }
  const at::Tensor wide = x.to(accumulation_type(x.scalar_type()));
  const at::Tensor inverse = wide.square().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();  // (.., 1)
  return {(wide * inverse).to(x.scalar_type()) * weight, inverse};
}

at::Tensor rms_norm_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& inverse, const at::Tensor& residual) {
  if (takes_kernel(x, weight)) return cuda_rms_norm_backward(dy, x, weight, inverse, residual);
  const at::Tensor normalised = x.to(inverse.scalar_type()) * inverse;
  const at::Tensor inner = (dy * weight).to(inverse.scalar_type());
  const at::Tensor along = (inner * normalised).mean(-1, /*keepdim=*/true);
  const at::Tensor dx = (inner - normalised * along).mul_(inverse).to(x.scalar_type());
  return residual.defined() ? dx.add_(residual) : dx;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return RmsNorm::apply(x, weight, eps);
}

}  // namespace shine::torch_kernels
