#include "ops/rms_norm.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "kernels/cpu/inference.h"
#include "kernels/fused.h"
#include "kernels/torch/rms_norm.h"
#include "ops/agreement.h"

namespace shine {
namespace {

at::Tensor rms_norm_fused(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (!c10::InferenceMode::is_enabled()) return torch_kernels::rms_norm(x, weight, eps);
  return cpu_kernel_takes(x) ? cpu_rms_norm(x, weight, eps) : torch_kernels::rms_norm_values(x, weight, eps).y;
}

}  // namespace

at::Tensor rms_norm_reference(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  const at::Tensor variance = wide.square().mean(-1, /*keepdim=*/true);  // (.., 1)
  return (wide * at::rsqrt(variance + eps)).to(x.scalar_type()) * weight;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  static const bool agree = forms_agree(
      "RMSNorm", [](const FormInputs& in) { return rms_norm_reference(in[0], in[1], 1e-6); },
      [](const FormInputs& in) { return rms_norm_fused(in[0], in[1], 1e-6); }, form_inputs({{3, 8}, {8}}));
  return use_fused_forms() && agree ? rms_norm_fused(x, weight, eps) : rms_norm_reference(x, weight, eps);
}

}  // namespace shine
