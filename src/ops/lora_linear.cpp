#include "ops/lora_linear.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "kernels/fused.h"
#include "ops/agreement.h"
#include "shine/common/error.h"

namespace shine {
namespace {

std::string sizes_text(const at::Tensor& tensor) {
  return tensor.defined() ? ::shine::str(tensor.sizes()) : "none";
}

void check(const LoraLinearInput& in) {
  const bool fits = in.x.dim() == 2 && in.weight.dim() == 2 && in.a.dim() == 3 && in.b.dim() == 3 &&
                    in.x.size(1) == in.weight.size(1) && in.a.size(1) == in.x.size(1) &&
                    in.b.size(2) == in.weight.size(0) && in.a.size(2) == in.b.size(1) && in.a.size(0) == in.b.size(0);
  SHINE_CHECK(fits, ShapeError, "LoRA linear: x ", in.x.sizes(), ", W ", in.weight.sizes(), ", A ", in.a.sizes(),
              ", B ", in.b.sizes(), ": expected (N, in), (out, in), (B_l, in, r), (B_l, r, out)");
  const bool terms_fit = (!in.bias.defined() || in.bias.sizes() == at::IntArrayRef({in.b.size(2)})) &&
                         (!in.c.defined() || in.c.sizes() == at::IntArrayRef({in.a.size(0), in.b.size(2)}));
  SHINE_CHECK(terms_fit, ShapeError, "LoRA linear: bias ", sizes_text(in.bias), ", C ", sizes_text(in.c),
              ": expected (", in.b.size(2), "), (", in.a.size(0), ", ", in.b.size(2), ")");
  const bool spans_fit = static_cast<std::int64_t>(in.spans.size()) == in.a.size(0) + 1 && in.spans.front() == 0 &&
                         in.spans.back() == in.x.size(0) && std::is_sorted(in.spans.begin(), in.spans.end());
  SHINE_CHECK(spans_fit, ShapeError, "LoRA linear: offsets ", join(in.spans, ", "), " for ", in.a.size(0),
              " LoRAs and ", in.x.size(0), " tokens");
}

/// In inference mode: consecutive adapters that serve equally many tokens are one batched product.
at::Tensor lora_linear_batched(const LoraLinearInput& in) {
  const auto type = in.x.scalar_type();
  const at::Tensor a = in.a.to(type), b = in.b.to(type), c = in.c.defined() ? in.c.to(type) : in.c;
  const at::Tensor y = at::linear(in.x, in.weight, in.bias.defined() ? std::optional(in.bias) : std::nullopt);
  const auto length = [&](std::int64_t i) {
    return in.spans[static_cast<std::size_t>(i) + 1] - in.spans[static_cast<std::size_t>(i)];
  };
  for (std::int64_t first = 0, next = 0; first < a.size(0); first = next) {
    const std::int64_t each = length(first);
    while (next < a.size(0) && length(next) == each) ++next;
    if (each == 0) continue;
    const std::int64_t start = in.spans[static_cast<std::size_t>(first)], count = next - first;
    const at::Tensor x = in.x.narrow(0, start, count * each);
    at::Tensor part = y.narrow(0, start, count * each);
    if (count == 1) {
      part.addmm_(x.mm(a[first]), b[first]);
      if (c.defined()) part.add_(c[first]);
      continue;
    }
    part = part.view({count, each, b.size(2)});
    const at::Tensor down = x.view({count, each, a.size(1)}).bmm(a.narrow(0, first, count));  // (count, each, r)
    part.baddbmm_(down, b.narrow(0, first, count));
    if (c.defined()) part.add_(c.narrow(0, first, count).unsqueeze(1));
  }
  return y;
}

bool forms_of_lora_linear_agree() {
  const auto given = [](const FormInputs& in) {
    return LoraLinearInput{in[0], in[1], in[2], in[3], in[4], in[5], {0, 2, 4}};
  };
  return forms_agree(
      "LoRA linear", [&](const FormInputs& in) { return lora_linear_reference(given(in)); },
      [&](const FormInputs& in) {
        return c10::InferenceMode::is_enabled() ? lora_linear_batched(given(in)) : lora_linear_reference(given(in));
      },
      form_inputs({{4, 3}, {5, 3}, {5}, {2, 3, 2}, {2, 2, 5}, {2, 5}}));
}

}  // namespace

at::Tensor lora_linear_reference(const LoraLinearInput& in) {
  check(in);
  const auto type = in.x.scalar_type();
  std::vector<at::Tensor> parts;
  for (std::int64_t i = 0; i < in.a.size(0); ++i) {
    const std::int64_t start = in.spans[static_cast<std::size_t>(i)];
    const at::Tensor x = in.x.narrow(0, start, in.spans[static_cast<std::size_t>(i) + 1] - start);
    at::Tensor y = x.matmul(in.weight.t()) + x.matmul(in.a[i].to(type)).matmul(in.b[i].to(type));
    if (in.bias.defined()) y = y + in.bias;
    if (in.c.defined()) y = y + in.c[i].to(type);
    parts.push_back(y);
  }
  return at::cat(parts, 0);
}

at::Tensor lora_linear(const LoraLinearInput& in) {
  static const bool agree = forms_of_lora_linear_agree();
  if (!c10::InferenceMode::is_enabled() || !use_fused_forms() || !agree) return lora_linear_reference(in);
  check(in);
  return lora_linear_batched(in);
}

}  // namespace shine
