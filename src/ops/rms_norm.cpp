#include "shine/ops/rms_norm.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_inference.h"
#include "cuda_ops.h"
#include "hand_written.h"

namespace shine {
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

/// x + residual and its norm by one kernel.
class AddRmsNorm : public torch::autograd::Function<AddRmsNorm> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& residual,
                               const at::Tensor& weight, double eps) {
    const CudaRmsNorm result = cuda_rms_norm(x, residual, weight, eps);
    context->save_for_backward({result.sum, weight, result.inverse});
    context->set_materialize_grads(false);
    return {result.sum, result.y};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &sum = saved[0], &weight = saved[1], &inverse = saved[2], &to_sum = gradients[0],
                     &dy = gradients[1];
    at::Tensor both = to_sum, to_weight;
    if (dy.defined()) {
      both = cuda_rms_norm_backward(dy, sum, weight, inverse, to_sum);
      if (context->needs_input_grad(2)) to_weight = cuda_rms_norm_weight_gradient(dy, sum, inverse);
    }
    return {both, both, to_weight, at::Tensor()};
  }
};

}  // namespace

NormValues rms_norm_values(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (takes_kernel(x, weight)) {
    const CudaRmsNorm result = cuda_rms_norm(x, /*residual=*/{}, weight, eps);
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
  if (c10::InferenceMode::is_enabled() && takes_kernel(x, weight)) return cuda_rms_norm(x, {}, weight, eps).y;
  if (c10::InferenceMode::is_enabled())
    return cpu_kernel_takes(x) ? cpu_rms_norm(x, weight, eps) : rms_norm_plain(x, weight, eps);
  return RmsNorm::apply(x, weight, eps);
}

AddedNorm add_rms_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, double eps) {
  if (!takes_kernel(x, weight)) {
    const at::Tensor sum = x + residual;
    return {sum, rms_norm(sum, weight, eps)};
  }
  const variable_list both = AddRmsNorm::apply(x, residual, weight, eps);
  return {both[0], both[1]};
}

at::Tensor rms_norm_plain(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(accumulation_type(x.scalar_type()));
  const at::Tensor variance = wide.square().mean(-1, /*keepdim=*/true);
  return (wide * at::rsqrt(variance + eps)).to(x.scalar_type()) * weight;
}

}  // namespace shine
