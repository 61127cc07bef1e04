#include "shine/ops/lora_linear.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "shine/common/error.h"

namespace shine {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Spans = std::vector<std::int64_t>;
/// autograd::Function takes a tensor that may be absent in this form only.
using OptionalTensor = std::optional<at::Tensor>;

OptionalTensor if_defined(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

std::string sizes_text(const at::Tensor& tensor) {
  return tensor.defined() ? ::shine::str(tensor.sizes()) : "none";
}

}  // namespace

void check_lora_linear(const LoraLinearInput& in) {
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

namespace {

class LoraLinear : public torch::autograd::Function<LoraLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const OptionalTensor& bias, const at::Tensor& a, const at::Tensor& b,
                            const OptionalTensor& c, const Spans& spans) {
    const auto type = x.scalar_type();
    const at::Tensor cast_a = a.to(type), cast_b = b.to(type);
    const at::Tensor y = at::linear(x, weight, bias);
    const at::Tensor down = at::empty({x.size(0), a.size(2)}, x.options());  // (N, r) = x A
    for (std::int64_t i = 0; i < a.size(0); ++i) {
      const auto [start, length] = span(spans, i);
      if (length == 0) continue;
      at::Tensor part = down.narrow(0, start, length);
      at::mm_out(part, x.narrow(0, start, length), cast_a[i]);
      at::Tensor out = y.narrow(0, start, length);
      out.addmm_(part, cast_b[i]);
      if (c) out.add_((*c)[i].to(type));
    }
    context->save_for_backward({x, weight, cast_a, cast_b, down});
    context->saved_data["spans"] = spans;
    context->saved_data["has_bias"] = bias.has_value();
    context->saved_data["has_c"] = c.has_value();
    context->saved_data["lora_type"] = static_cast<std::int64_t>(a.scalar_type());
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &a = saved[2], &b = saved[3], &down = saved[4];
    const Spans spans = context->saved_data["spans"].toIntVector();
    const auto lora_type = static_cast<at::ScalarType>(context->saved_data["lora_type"].toInt());
    const at::Tensor dy = gradients[0].contiguous();
    // Edges count the tensors that were given: x, W, bias if any, A, B, C if any.
    const std::size_t first = context->saved_data["has_bias"].toBool() ? 3 : 2;
    const bool need_x = context->needs_input_grad(0), need_a = context->needs_input_grad(first),
               need_b = context->needs_input_grad(first + 1),
               need_c = context->saved_data["has_c"].toBool() && context->needs_input_grad(first + 2);
    at::Tensor dx, da, db, dc;
    if (need_x) dx = dy.mm(weight);
    if (need_a) da = at::zeros(a.sizes(), a.options());
    if (need_b) db = at::zeros(b.sizes(), b.options());
    if (need_c) dc = at::zeros({a.size(0), weight.size(0)}, x.options());
    for (std::int64_t i = 0; i < a.size(0); ++i) {
      const auto [start, length] = span(spans, i);
      if (length == 0) continue;
      const at::Tensor dy_part = dy.narrow(0, start, length);
      if (need_x || need_a) {
        const at::Tensor up = dy_part.mm(b[i].t());  // (n, r) = dY B^T
        if (need_x) dx.narrow(0, start, length).addmm_(up, a[i].t());
        if (need_a) da[i].copy_(x.narrow(0, start, length).t().mm(up));
      }
      if (need_b) db[i].copy_(down.narrow(0, start, length).t().mm(dy_part));
      if (need_c) dc[i].copy_(dy_part.sum(0));
    }
    const auto cast = [lora_type](const at::Tensor& t) { return t.defined() ? t.to(lora_type) : t; };
    return {dx, at::Tensor(), at::Tensor(), cast(da), cast(db), cast(dc), at::Tensor()};
  }

 private:
  static std::pair<std::int64_t, std::int64_t> span(const Spans& spans, std::int64_t adapter) {
    const auto i = static_cast<std::size_t>(adapter);
    return {spans[i], spans[i + 1] - spans[i]};
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
  check_lora_linear(in);
  if (c10::InferenceMode::is_enabled()) return infer(in);
  return LoraLinear::apply(in.x, in.weight, if_defined(in.bias), in.a, in.b, if_defined(in.c), in.spans);
}

at::Tensor lora_linear_plain(const LoraLinearInput& in) {
  check_lora_linear(in);
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
