#include "shine/ops/lora_linear.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "operations/adapted_group.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// autograd::Function takes a tensor that may be absent in this form only.
using OptionalTensor = std::optional<at::Tensor>;

OptionalTensor if_defined(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

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

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class LoraLinear : public torch::autograd::Function<LoraLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& a, const at::Tensor& b, const OptionalTensor& c,
                            const OptionalTensor& bias, const std::vector<std::int64_t>& spans) {
    const std::array maps{linear_of(weight, bias.value_or(at::Tensor()))};
    const std::array lora{SublayerLora{a, b, c.value_or(at::Tensor())}};
    const operations::AdaptedGroup group(maps, lora, x.scalar_type(), /*masked=*/false);
    const TokenAdapters adapters = adapters_of(spans);
    const at::Tensor reduced = group.reduce(x, adapters);
    context->save_for_backward({x, weight, a, b, c.value_or(at::Tensor()), reduced});
    context->saved_data["spans"] = spans;
    return group.apply(0, x, reduced, adapters, /*residual=*/{});
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const std::array maps{linear_of(saved[1], {})};
    const std::array lora{SublayerLora{saved[2], saved[3], saved[4]}};
    const at::Tensor &x = saved[0], dy = gradients[0].contiguous();
    const operations::AdaptedGroup group(maps, lora, x.scalar_type(), /*masked=*/false);
    // Edges count the tensors that were given: x, W, A, B, C if any.
    const bool wants_lora = context->needs_input_grad(2) || context->needs_input_grad(3) ||
                            (saved[4].defined() && context->needs_input_grad(4));
    auto found = group.backward({&dy, 1}, x, saved[5], adapters_of(context->saved_data["spans"].toIntVector()),
                                {.x = context->needs_input_grad(0), .lora = wants_lora});
    variable_list results(7);
    results[0] = found.x;
    if (wants_lora) {
      results[2] = found.lora[0].a;
      results[3] = found.lora[0].b;
      results[4] = found.lora[0].c;
    }
    return results;
  }

 private:
  static PreparedLinear linear_of(const at::Tensor& weight, const at::Tensor& bias) {
    return prepare_linear(SublayerEngine::operations, weight, bias);
  }
  static TokenAdapters adapters_of(const std::vector<std::int64_t>& spans) {
    return {static_cast<std::int64_t>(spans.size()) - 1, spans, {}};
  }
};

/// In inference mode: consecutive adapters that serve equally many tokens are one batched product.
at::Tensor infer(const LoraLinearInput& in) {
  const auto type = in.x.scalar_type();
  const at::Tensor a = in.a.to(type), b = in.b.to(type), c = in.c.defined() ? in.c.to(type) : in.c;
  const at::Tensor y = at::linear(in.x, in.weight, if_defined(in.bias));
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

}  // namespace

at::Tensor lora_linear(const LoraLinearInput& in) {
  check(in);
  if (c10::InferenceMode::is_enabled()) return infer(in);
  return LoraLinear::apply(in.x, in.weight, in.a, in.b, if_defined(in.c), if_defined(in.bias), in.spans);
}

at::Tensor lora_linear_plain(const LoraLinearInput& in) {
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

}  // namespace shine
