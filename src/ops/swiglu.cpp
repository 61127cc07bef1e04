#include "ops/swiglu.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "kernels/fused.h"
#include "kernels/torch/swiglu.h"
#include "ops/agreement.h"

namespace shine {
namespace {

at::Tensor swiglu_fused(const at::Tensor& gate, const at::Tensor& up) {
  return c10::InferenceMode::is_enabled() ? torch_kernels::swiglu_values(gate, up) : torch_kernels::swiglu(gate, up);
}

}  // namespace

at::Tensor swiglu_reference(const at::Tensor& gate, const at::Tensor& up) {
  return gate * at::sigmoid(gate) * up;
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  static const bool agree = forms_agree(
      "SwiGLU", [](const FormInputs& in) { return swiglu_reference(in[0], in[1]); },
      [](const FormInputs& in) { return swiglu_fused(in[0], in[1]); }, form_inputs({{3, 8}, {3, 8}}));
  return use_fused_forms() && agree ? swiglu_fused(gate, up) : swiglu_reference(gate, up);
}

}  // namespace shine
