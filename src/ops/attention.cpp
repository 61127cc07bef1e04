#include "ops/attention.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <limits>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/block_product.h"
#include "kernels/fused.h"
#include "ops/agreement.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

at::Tensor attention_fused(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                           double scale) {
  return at::scaled_dot_product_attention(q, k, v, mask.defined() ? std::optional(mask) : std::nullopt,
                                          /*dropout_p=*/0.0, /*is_causal=*/false, scale);
}

/// Whether the CPU kernel serves: it has no autograd of its own, and in float64 it is for checks.
bool cpu_attention_takes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const at::ScalarType type = q.scalar_type();
  return c10::InferenceMode::is_enabled() && q.is_cpu() && type != at::kDouble && cpu::kernels_run(type) &&
         k.scalar_type() == type && v.scalar_type() == type && q.size(2) % 2 == 0;
}

at::Tensor cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const RowLayout& rows,
                         double scale) {
  const auto flat = [](const at::Tensor& x) { return x.reshape({x.size(0), x.size(1) * x.size(2)}).contiguous(); };
  return cpu::attention_forward(flat(q), flat(k), flat(v), {.keys = rows, .queries = rows, .positions = {}},
                                {q.size(1), k.size(1), q.size(2), scale})
      .out.view(q.sizes());
}

at::Tensor causal_attention_fused(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedRows& rows,
                                  double scale) {
  return cpu_attention_takes(q, k, v) ? cpu_attention(q, k, v, rows.rows, scale)
                                      : torch_kernels::causal_attention(q, k, v, rows, scale);
}

/// Large values: a change that only large scores show is seen.
constexpr double kDeviation = 3.0;

bool forms_of_attention_agree() {
  const at::Tensor mask = at::full({3, 4}, -std::numeric_limits<float>::infinity()).triu_(2);
  return forms_agree(
      "attention", [&](const FormInputs& in) { return attention_reference(in[0], in[1], in[2], mask, {.scale = 0.5}); },
      [&](const FormInputs& in) { return attention_fused(in[0], in[1], in[2], mask, 0.5); },
      form_inputs({{2, 2, 3, 8}, {2, 2, 4, 8}, {2, 2, 4, 8}}, kDeviation));
}

bool forms_of_causal_attention_agree() {
  const RowLayout rows{{0, 2, 5}};
  return forms_agree(
      "causal attention",
      [&](const FormInputs& in) { return causal_attention_reference(in[0], in[1], in[2], rows, {.scale = 0.5}); },
      [&](const FormInputs& in) {
        return causal_attention_fused(in[0], in[1], in[2], {rows, {}, {}}, 0.5);
      },
      form_inputs({{5, 4, 8}, {5, 2, 8}, {5, 2, 8}}, kDeviation));
}

}  // namespace

at::Tensor attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                               const AttentionOptions& options) {
  at::Tensor scores = at::matmul(q, k.transpose(-2, -1)) * options.scale;  // (.., T, S)
  if (mask.defined()) scores = scores + mask;
  const at::ScalarType wide = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::matmul(at::softmax(scores, -1, wide).to(v.scalar_type()), v);
}

bool fused_attention_knows(const AttentionOptions& options) {
  if (options == AttentionOptions{.scale = options.scale}) return true;
  log_once(LogLevel::info, "attention has an option that its faster forms do not know: the reference runs");
  return false;
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                     const AttentionOptions& options) {
  static const bool agree = outside_inference_mode(forms_of_attention_agree);
  return use_fused_forms() && agree && fused_attention_knows(options) ? attention_fused(q, k, v, mask, options.scale)
                                                                      : attention_reference(q, k, v, mask, options);
}

at::Tensor aligned_mask(const at::Tensor& mask) {
  constexpr std::int64_t values = 16;
  const std::int64_t width = mask.size(-1);
  if (width % values == 0) return mask.contiguous();
  std::vector<std::int64_t> sizes = mask.sizes().vec();
  sizes.back() = (width + values - 1) / values * values;
  return at::empty(sizes, mask.options()).narrow(-1, 0, width).copy_(mask);
}

at::Tensor causal_attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const RowLayout& rows, const AttentionOptions& options) {
  const std::int64_t group = q.size(1) / k.size(1);
  std::vector<at::Tensor> outputs;
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    const std::int64_t start = rows.starts[static_cast<std::size_t>(row)], length = rows.length(row);
    const auto part = [&](const at::Tensor& x, std::int64_t repeats) {  // (heads, T, d)
      return x.narrow(0, start, length).repeat_interleave(repeats, 1).transpose(0, 1);
    };
    const at::Tensor future =
        at::full({length, length}, -std::numeric_limits<double>::infinity(), q.options()).triu_(1);
    outputs.push_back(attention_reference(part(q, 1), part(k, group), part(v, group), future, options).transpose(0, 1));
  }
  return at::cat(outputs, 0);
}

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedRows& rows,
                            const AttentionOptions& options) {
  static const bool agree = outside_inference_mode(forms_of_causal_attention_agree);
  const bool fits = q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == rows.rows.tokens() &&
                    k.size(0) == q.size(0) && k.size(2) == q.size(2) && k.size(1) > 0 && q.size(1) % k.size(1) == 0;
  SHINE_CHECK(fits, ShapeError, "attention: q ", q.sizes(), ", k ", k.sizes(), ", v ", v.sizes(), ", rows of ",
              rows.rows.tokens(), " tokens: expected (N, heads, d) and twice (N, kv_heads, d)");
  if (rows.rows.tokens() == 0) return q.clone();
  return use_fused_forms() && agree && fused_attention_knows(options)
             ? causal_attention_fused(q, k, v, rows, options.scale)
             : causal_attention_reference(q, k, v, rows.rows, options);
}

}  // namespace shine
