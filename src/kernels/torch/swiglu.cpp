#include "kernels/torch/swiglu.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/cuda/cuda_ops.h"

namespace shine::torch_kernels {
namespace {

bool takes_kernel(const at::Tensor& gate, const at::Tensor& up) {
  return takes_cuda_kernel(CudaKernel::swiglu, gate) && up.scalar_type() == gate.scalar_type() &&
         up.sizes() == gate.sizes();
}

class SwiGlu : public torch::autograd::Function<SwiGlu> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return swiglu_values(gate, up);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    auto [to_gate, to_up] = swiglu_gradients(gradients[0], saved[0], saved[1]);
    return {std::move(to_gate), std::move(to_up)};
  }
};

}  // namespace

at::Tensor swiglu_values(const at::Tensor& gate, const at::Tensor& up) {
  return takes_kernel(gate, up) ? cuda_swiglu(gate, up) : at::silu(gate).mul_(up);
}

std::pair<at::Tensor, at::Tensor> swiglu_gradients(const at::Tensor& dy, const at::Tensor& gate, const at::Tensor& up) {
  if (takes_kernel(gate, up)) return cuda_swiglu_backward(dy, gate, up);
  return {at::silu_backward(dy * up, gate), at::silu(gate).mul_(dy)};
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  return SwiGlu::apply(gate, up);
}

}  // namespace shine::torch_kernels
