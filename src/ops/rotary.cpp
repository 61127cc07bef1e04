#include "shine/ops/rotary.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_inference.h"
#include "cuda_ops.h"
#include "shine/ops/rms_norm.h"

namespace shine {
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
  return takes_cuda_kernel(CudaKernel::rotary, x) && cos.scalar_type() == x.scalar_type();
}

at::Tensor turned(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool opposite) {
  if (takes_kernel(x, cos)) return cuda_rotary(x, {cos, sin}, opposite);
  return rotate(x, cos, opposite ? -sin : sin);
}

class Rotary : public torch::autograd::Function<Rotary> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return turned(x, cos, sin, /*opposite=*/false);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {turned(gradients[0], saved[0], saved[1], /*opposite=*/true), at::Tensor(), at::Tensor()};
  }
};

/// Norm and rotation by one kernel; the norm's weight is constant.
class NormRotary : public torch::autograd::Function<NormRotary> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& cos, const at::Tensor& sin, double eps) {
    const auto [y, inverse] = cuda_norm_rotary(x, weight, {cos, sin}, eps);
    context->save_for_backward({x, weight, cos, sin, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {cuda_norm_rotary_backward(gradients[0], saved[0], saved[1], {saved[2], saved[3]}, saved[4]), at::Tensor(),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

RotaryTable make_rotary_table(const at::Tensor& positions, std::int64_t head_dim, double theta, at::ScalarType dtype) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(positions.device());
  const at::Tensor exponent = at::arange(0, head_dim, 2, options) / static_cast<double>(head_dim);
  const at::Tensor frequency = at::reciprocal(at::pow(at::scalar_tensor(theta, options), exponent));  // (d/2)
  const at::Tensor angle = positions.to(at::kFloat).unsqueeze(1) * frequency;                         // (N, d/2)
  const at::Tensor both = at::cat({angle, angle}, -1).unsqueeze(1);                                   // (N, 1, d)
  return {both.cos().to(dtype), both.sin().to(dtype)};
}

at::Tensor rotary(const at::Tensor& x, const RotaryTable& table) {
  if (c10::InferenceMode::is_enabled()) {
    return cpu_kernel_takes(x) ? cpu_rotary(x, table) : turned(x, table.cos, table.sin, /*opposite=*/false);
  }
  return Rotary::apply(x, table.cos, table.sin);
}

at::Tensor norm_rotary(const at::Tensor& x, const at::Tensor& weight, const RotaryTable& table, double eps) {
  const bool trained = at::GradMode::is_enabled() && weight.requires_grad();
  if (trained || !takes_kernel(x, table.cos) || weight.scalar_type() != x.scalar_type()) {
    return rotary(rms_norm(x, weight, eps), table);
  }
  if (c10::InferenceMode::is_enabled()) return cuda_norm_rotary(x, weight, table, eps).first;
  return NormRotary::apply(x, weight, table.cos, table.sin, eps);
}

at::Tensor rotary_plain(const at::Tensor& x, const RotaryTable& table) {
  return x * table.cos + rotate_half(x) * table.sin;
}

}  // namespace shine
