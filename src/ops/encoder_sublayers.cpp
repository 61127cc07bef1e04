#include "ops/encoder_sublayers.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/cpu/block_product.h"
#include "kernels/cpu/encoder_blocks.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::ScalarType operand_type(const at::Tensor& x, at::ScalarType compute) {
  return x.scalar_type() == at::kDouble ? at::kDouble : compute;
}

/// An undefined gradient for what needs none.
variable_list needed_only(const AutogradContext& context, const std::array<at::Tensor, 7>& gradients) {
  variable_list needed;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    needed.push_back(context.needs_input_grad(i) ? gradients[i] : at::Tensor());
  }
  return needed;
}

class AttentionSublayer : public torch::autograd::Function<AttentionSublayer> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& in_weight,
                            const at::Tensor& in_bias, const at::Tensor& out_weight, const at::Tensor& out_bias,
                            const at::Tensor& norm_weight, const at::Tensor& norm_bias,
                            const cpu::EncoderAttentionForm& form) {
    const at::Tensor rows = x.contiguous().view({-1, x.size(-1)});
    cpu::EncoderAttentionSaved kept;
    const at::Tensor result = cpu::encoder_attention_forward(
        rows, {in_weight, in_bias, out_weight, out_bias, norm_weight, norm_bias}, form, kept);
    context->save_for_backward(
        {x, in_weight, in_bias, out_weight, out_bias, norm_weight, norm_bias, kept.qkv, kept.attn_out, kept.sum});
    context->saved_data["heads"] = form.heads;
    context->saved_data["eps"] = form.eps;
    context->saved_data["type"] = static_cast<std::int64_t>(form.type);
    if (form.hidden.defined()) context->saved_data["hidden"] = form.hidden;
    return result.view(x.sizes());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    auto& data = context->saved_data;
    const auto hidden = data.find("hidden");
    const cpu::EncoderAttentionForm form{{x.size(0), x.size(1), x.size(2)},
                                         data["heads"].toInt(),
                                         data["eps"].toDouble(),
                                         hidden == data.end() ? at::Tensor() : hidden->second.toTensor(),
                                         static_cast<at::ScalarType>(data["type"].toInt())};
    const std::int64_t width = x.size(-1);
    auto found = cpu::encoder_attention_backward(
        gradients[0].contiguous().view({-1, width}), x.contiguous().view({-1, width}),
        {saved[1], saved[2], saved[3], saved[4], saved[5], saved[6]}, form, {saved[7], saved[8], saved[9]});
    found[0] = found[0].view(x.sizes());
    variable_list needed = needed_only(*context, found);
    needed.resize(8);
    return needed;
  }
};

class FeedforwardSublayer : public torch::autograd::Function<FeedforwardSublayer> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& up_weight,
                            const at::Tensor& up_bias, const at::Tensor& down_weight, const at::Tensor& down_bias,
                            const at::Tensor& norm_weight, const at::Tensor& norm_bias, double eps,
                            at::ScalarType type) {
    const at::Tensor rows = x.contiguous().view({-1, x.size(-1)});
    cpu::EncoderFeedforwardSaved kept;
    const at::Tensor result = cpu::encoder_feedforward_forward(
        rows, {up_weight, up_bias, down_weight, down_bias, norm_weight, norm_bias}, eps, type, kept);
    context->save_for_backward(
        {x, up_weight, up_bias, down_weight, down_bias, norm_weight, norm_bias, kept.inner, kept.sum});
    context->saved_data["eps"] = eps;
    context->saved_data["type"] = static_cast<std::int64_t>(type);
    return result.view(x.sizes());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const std::int64_t width = x.size(-1);
    auto found = cpu::encoder_feedforward_backward(
        gradients[0].contiguous().view({-1, width}), x.contiguous().view({-1, width}),
        {saved[1], saved[2], saved[3], saved[4], saved[5], saved[6]}, context->saved_data["eps"].toDouble(),
        static_cast<at::ScalarType>(context->saved_data["type"].toInt()), {saved[7], saved[8]});
    found[0] = found[0].view(x.sizes());
    variable_list needed = needed_only(*context, found);
    needed.resize(9);
    return needed;
  }
};

void check(bool fits, const char* name, const at::Tensor& tensor, const at::Tensor& x) {
  SHINE_CHECK(fits && tensor.scalar_type() == x.scalar_type(), ShapeError, "encoder layer: ", name, " of shape ",
              tensor.sizes(), " and type ", at::toString(tensor.scalar_type()), " does not fit x ", x.sizes(), " of ",
              at::toString(x.scalar_type()));
}

/// weight (out, in), bias (out); norms have no weight matrix.
void check_linear(const char* name, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t out, std::int64_t in) {
  check(weight.sizes() == at::IntArrayRef({out, in}), name, weight, x);
  check(bias.sizes() == at::IntArrayRef({out}), name, bias, x);
}

void check_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  for (const at::Tensor& one : {weight, bias}) check(one.sizes() == at::IntArrayRef({x.size(3)}), "norm", one, x);
}

}  // namespace

bool encoder_sublayers_run(const at::Tensor& x, std::int64_t heads, std::int64_t feedforward, at::ScalarType compute) {
  const bool wide = x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble;
  if (!x.device().is_cpu() || !wide || x.numel() == 0) return false;
  const at::ScalarType type = operand_type(x, compute);
  // bfloat16 operands are taken in pairs.
  const bool pairs = type != at::kBFloat16 || (x.size(-1) / heads % 2 == 0 && feedforward % 2 == 0);
  return pairs && cpu::kernels_run(type);
}

at::Tensor encoder_attention_sublayer(const EncoderAttentionInput& in) {
  SHINE_CHECK(in.x.dim() == 4 && in.heads > 0 && in.x.size(3) % in.heads == 0, ShapeError, "encoder layer: x of shape ",
              in.x.sizes(), " with ", in.heads, " heads: expected (S, T, I, d), d a multiple of the heads");
  const std::int64_t length = in.x.size(1), width = in.x.size(3);
  check_linear("in_proj", in.x, in.in_proj_weight, in.in_proj_bias, 3 * width, width);
  check_linear("out_proj", in.x, in.out_proj_weight, in.out_proj_bias, width, width);
  check_norm(in.x, in.norm_weight, in.norm_bias);
  const bool masked = in.attn_mask.defined();
  SHINE_CHECK(
      !masked || (in.attn_mask.sizes() == at::IntArrayRef({length, length}) && in.attn_mask.scalar_type() == at::kBool),
      ShapeError, "encoder layer: a mask that is not bool of shape (", length, ", ", length, ")");
  const cpu::EncoderAttentionForm form{{in.x.size(0), length, in.x.size(2)},
                                       in.heads,
                                       in.eps,
                                       masked ? in.attn_mask.contiguous() : at::Tensor(),
                                       operand_type(in.x, in.compute)};
  return AttentionSublayer::apply(in.x, in.in_proj_weight, in.in_proj_bias, in.out_proj_weight, in.out_proj_bias,
                                  in.norm_weight, in.norm_bias, form);
}

at::Tensor encoder_feedforward_sublayer(const EncoderFeedforwardInput& in) {
  SHINE_CHECK(in.x.dim() == 4 && in.linear1_weight.dim() == 2, ShapeError, "encoder layer: x of shape ", in.x.sizes(),
              ", linear1 ", in.linear1_weight.sizes(), ": expected (S, T, I, d), (ff, d)");
  const std::int64_t width = in.x.size(3), inner = in.linear1_weight.size(0);
  check_linear("linear1", in.x, in.linear1_weight, in.linear1_bias, inner, width);
  check_linear("linear2", in.x, in.linear2_weight, in.linear2_bias, width, inner);
  check_norm(in.x, in.norm_weight, in.norm_bias);
  return FeedforwardSublayer::apply(in.x, in.linear1_weight, in.linear1_bias, in.linear2_weight, in.linear2_bias,
                                    in.norm_weight, in.norm_bias, in.eps, operand_type(in.x, in.compute));
}

}  // namespace shine
