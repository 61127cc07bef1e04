#include "shine/ops/rotary.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_inference.h"

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

class Rotary : public torch::autograd::Function<Rotary> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotate(x, cos, sin);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotate(gradients[0], saved[0], -saved[1]), at::Tensor(), at::Tensor()};
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
    return cpu_kernel_takes(x) ? cpu_rotary(x, table) : rotate(x, table.cos, table.sin);
  }
  return Rotary::apply(x, table.cos, table.sin);
}

at::Tensor rotary_plain(const at::Tensor& x, const RotaryTable& table) {
  return x * table.cos + rotate_half(x) * table.sin;
}

}  // namespace shine
