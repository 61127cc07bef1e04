#include "ops/rope.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "kernels/cpu/inference.h"
#include "kernels/fused.h"
#include "kernels/torch/rope.h"
#include "ops/agreement.h"

namespace shine {
namespace {

at::Tensor apply_rope_fused(const at::Tensor& x, const RopeTable& table) {
  if (!c10::InferenceMode::is_enabled()) return torch_kernels::apply_rope(x, table);
  return cpu_kernel_takes(x) ? cpu_rope(x, table) : torch_kernels::rope_values(x, table);
}

bool forms_of_rope_agree() {
  const RopeTable table = make_rope_table(at::arange(3, at::kLong), /*head_dim=*/8, /*theta=*/100.0, at::kFloat);
  return forms_agree(
      "rotary embedding", [&](const FormInputs& in) { return apply_rope_reference(in[0], table); },
      [&](const FormInputs& in) { return apply_rope_fused(in[0], table); }, form_inputs({{3, 2, 8}}));
}

}  // namespace

at::Tensor apply_rope_reference(const at::Tensor& x, const RopeTable& table) {
  const auto halves = x.chunk(2, -1);
  return x * table.cos + at::cat({-halves[1], halves[0]}, -1) * table.sin;
}

at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table) {
  static const bool agree = outside_inference_mode(forms_of_rope_agree);
  return use_fused_forms() && agree ? apply_rope_fused(x, table) : apply_rope_reference(x, table);
}

}  // namespace shine
