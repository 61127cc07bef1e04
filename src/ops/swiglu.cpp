#include "shine/ops/swiglu.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda_ops.h"

namespace shine {
namespace {

bool takes_kernel(const at::Tensor& gate, const at::Tensor& up) {
  return takes_cuda_kernel(CudaKernel::swiglu, gate) && up.scalar_type() == gate.scalar_type() &&
         up.sizes() == gate.sizes();
}

at::Tensor product(const at::Tensor& gate, const at::Tensor& up) {
  return takes_kernel(gate, up) ? cuda_swiglu(gate, up) : at::silu(gate).mul_(up);
}

class SwiGlu : public torch::autograd::Function<SwiGlu> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return product(gate, up);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1];
    if (takes_kernel(gate, up)) {
      auto [to_gate, to_up] = cuda_swiglu_backward(gradients[0], gate, up);
      return {std::move(to_gate), std::move(to_up)};
    }
    return {at::silu_backward(gradients[0] * up, gate), at::silu(gate).mul_(gradients[0])};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  if (c10::InferenceMode::is_enabled()) return product(gate, up);
  return SwiGlu::apply(gate, up);
}

at::Tensor swiglu_plain(const at::Tensor& gate, const at::Tensor& up) {
  return gate * at::sigmoid(gate) * up;
}

}  // namespace shine
