#include "ops/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "kernels/cpu/cross_entropy.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/fused.h"
#include "ops/agreement.h"

namespace shine {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::ScalarType loss_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

void multiply_into(at::Tensor to, const at::Tensor& left, const at::Tensor& right) {
  at::mm_out(to, left, right);
}

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                            const at::Tensor& targets, bool need_gradient) {
    if (cpu::cross_entropy_takes(hidden, weight)) {
      const auto result =
          cpu::cross_entropy(hidden.contiguous(), weight.contiguous(), targets.contiguous(), need_gradient);
      if (need_gradient) context->save_for_backward({result.to_hidden});
      return result.losses;
    }
    const std::int64_t n = hidden.size(0);
    const std::int64_t rows =
        std::max<std::int64_t>(1, cross_entropy_chunk_values(weight.device().type()) / weight.size(0));
    at::Tensor losses = at::empty({n}, hidden.options().dtype(loss_type(hidden.scalar_type())));
    at::Tensor to_hidden = need_gradient ? at::empty_like(hidden) : at::Tensor();
    const bool by_kernel = takes_cuda_kernel(CudaKernel::cross_entropy, hidden);
    for (std::int64_t start = 0; start < n; start += rows) {
      const std::int64_t length = std::min(rows, n - start);
      if (by_kernel) {
        const at::Tensor chunk = hidden.narrow(0, start, length).mm(weight.t());  // (c, V), then their gradient
        losses.narrow(0, start, length)
            .copy_(cuda_cross_entropy_(chunk, targets.narrow(0, start, length), need_gradient));
        if (need_gradient) multiply_into(to_hidden.narrow(0, start, length), chunk, weight);
        continue;
      }
      const at::Tensor target = targets.narrow(0, start, length).unsqueeze(1);                            // (c, 1)
      const at::Tensor logits = hidden.narrow(0, start, length).mm(weight.t()).to(losses.scalar_type());  // (c, V)
      at::Tensor log_probability = at::log_softmax(logits, -1);
      losses.narrow(0, start, length).copy_(log_probability.gather(1, target).squeeze(1).neg_());
      if (!need_gradient) continue;
      at::Tensor to_logits = log_probability.exp_();  // softmax - one hot
      to_logits.scatter_add_(1, target, at::full({length, 1}, -1.0, to_logits.options()));
      multiply_into(to_hidden.narrow(0, start, length), to_logits.to(hidden.scalar_type()), weight);
    }
    if (need_gradient) context->save_for_backward({to_hidden});
    return losses;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor to_hidden = context->get_saved_variables()[0];
    return {to_hidden * gradients[0].to(to_hidden.scalar_type()).unsqueeze(1), at::Tensor(), at::Tensor(),
            at::Tensor()};
  }
};

at::Tensor linear_cross_entropy_fused(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  const bool need_gradient = at::GradMode::is_enabled() && hidden.requires_grad();
  return LinearCrossEntropy::apply(hidden, weight, targets, need_gradient);
}

bool forms_of_cross_entropy_agree() {
  const at::Tensor weight = form_inputs({{11, 8}}, 2.0)[0], targets = at::tensor({0, 10, 4}, at::kLong);
  return forms_agree(
      "cross-entropy", [&](const FormInputs& in) { return linear_cross_entropy_reference(in[0], weight, targets); },
      [&](const FormInputs& in) { return linear_cross_entropy_fused(in[0], weight, targets); },
      form_inputs({{3, 8}}, 2.0));
}

}  // namespace

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor log_probability = at::log_softmax(logits.to(loss_type(logits.scalar_type())), -1);  // (n, V)
  return log_probability.gather(1, targets.unsqueeze(1)).squeeze(1).neg();
}

at::Tensor linear_cross_entropy_reference(const at::Tensor& hidden, const at::Tensor& weight,
                                          const at::Tensor& targets) {
  return cross_entropy(hidden.mm(weight.t()), targets);
}

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  static const bool agree = outside_inference_mode(forms_of_cross_entropy_agree);
  const bool frozen = !(at::GradMode::is_enabled() && weight.requires_grad());
  return frozen && use_fused_forms() && agree ? linear_cross_entropy_fused(hidden, weight, targets)
                                              : linear_cross_entropy_reference(hidden, weight, targets);
}

}  // namespace shine
