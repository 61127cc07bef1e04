#include "kernels/torch/rope.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/torch/rms_norm.h"

namespace shine::torch_kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor rotate_half(const at::Tensor& x) {
  const auto halves = x.chunk(2, -1);
  return at::cat({-halves[1], halves[0]}, -1);
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  return (x * cos).add_(rotate_half(x).mul_(sin));
}

bool takes_kernel(const at::Tensor& x, const at::Tensor& cos) {
  return takes_cuda_kernel(CudaKernel::rope, x) && cos.scalar_type() == x.scalar_type();
}

class Rope : public torch::autograd::Function<Rope> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rope_values(x, {cos, sin}, /*inverse=*/false);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rope_values(gradients[0], {saved[0], saved[1]}, /*inverse=*/true), at::Tensor(), at::Tensor()};
  }
};

/// Norm and rotation by one kernel; the norm's weight is constant.
class NormRope : public torch::autograd::Function<NormRope> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& cos, const at::Tensor& sin, double eps) {
    const auto [y, inverse] = cuda_norm_rope(x, weight, {cos, sin}, eps);
    context->save_for_backward({x, weight, cos, sin, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {cuda_norm_rope_backward(gradients[0], saved[0], saved[1], {saved[2], saved[3]}, saved[4]), at::Tensor(),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor rope_values(const at::Tensor& x, const RopeTable& table, bool inverse) {
  if (takes_kernel(x, table.cos)) return cuda_rope(x, table, inverse);
  return rotate(x, table.cos, inverse ? -table.sin : table.sin);
}

at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table) {
  return Rope::apply(x, table.cos, table.sin);
}

at::Tensor norm_rope(const at::Tensor& x, const at::Tensor& weight, const RopeTable& table, double eps) {
  const bool trained = at::GradMode::is_enabled() && weight.requires_grad();
  if (trained || !takes_kernel(x, table.cos) || weight.scalar_type() != x.scalar_type()) {
    return apply_rope(rms_norm(x, weight, eps), table);
  }
  if (c10::InferenceMode::is_enabled()) return cuda_norm_rope(x, weight, table, eps).first;
  return NormRope::apply(x, weight, table.cos, table.sin, eps);
}

}  // namespace shine::torch_kernels
