#include "ops/encoder_sublayers.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include "kernels/cpu/block_product.h"
#include "kernels/cpu/encoder_blocks.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using cpu::EncoderGradients;
using cpu::EncoderWeights;
using torch::autograd::variable_list;

at::ScalarType operand_type(const at::Tensor& x, at::ScalarType compute) {
  return x.scalar_type() == at::kDouble ? at::kDouble : compute;
}

/// (S, T, I, d) -> (S * T * I, d)
at::Tensor flat(const at::Tensor& x) {
  return x.detach().contiguous().view({-1, x.size(-1)});
}

/// The node of one sub-layer's call. A `Call` has forward and backward, and holds what they pass on.
template <class Call>
class EncoderNode : public torch::autograd::Node {
 public:
  EncoderNode(Call call, const at::Tensor& x, const EncoderWeights& weights) : call_(std::move(call)) {
    for (const at::Tensor& each : inputs_of(x, weights)) inputs_.emplace_back(each, /*is_output=*/false);
  }

  /// What gets a gradient, in the order of the node's edges.
  static variable_list inputs_of(const at::Tensor& x, const EncoderWeights& weights) {
    variable_list inputs{x};
    EncoderWeights::for_each(weights, [&](const at::Tensor& each) { inputs.push_back(each); });
    return inputs;
  }

  at::Tensor forward(const at::Tensor& x, const EncoderWeights& weights) { return call_.forward(flat(x), weights); }

  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return variable_list(inputs_.size());
    const at::NoGradGuard no_gradient;
    const at::Tensor x = inputs_.front().unpack();  // throws where it was changed in place
    EncoderWeights weights;
    auto saved = inputs_.begin();
    EncoderWeights::for_each(weights, [&](at::Tensor& each) { each = (++saved)->unpack(); });
    EncoderGradients found = call_.backward(flat(gradients[0]), flat(x), weights);
    found.x = found.x.view(x.sizes());
    variable_list wanted = inputs_of(found.x, found.weights);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (!should_compute_output(i)) wanted[i].reset();
    }
    return wanted;
  }

  void release_variables() override {
    for (auto& each : inputs_) each.reset_data();
    call_.saved = {};
  }

  std::string name() const override { return Call::kName; }

 private:
  Call call_;
  std::vector<torch::autograd::SavedVariable> inputs_;
};

struct AttentionCall {
  static constexpr const char* kName = "EncoderAttentionSublayer";

  at::Tensor forward(const at::Tensor& x, const EncoderWeights& weights) {
    return cpu::encoder_attention_forward(x, weights, form, saved);
  }
  EncoderGradients backward(const at::Tensor& dy, const at::Tensor& x, const EncoderWeights& weights) const {
    return cpu::encoder_attention_backward(dy, x, weights, form, saved);
  }

  cpu::EncoderAttentionForm form;
  cpu::EncoderAttentionSaved saved;
};

struct FeedforwardCall {
  static constexpr const char* kName = "EncoderFeedforwardSublayer";

  at::Tensor forward(const at::Tensor& x, const EncoderWeights& weights) {
    return cpu::encoder_feedforward_forward(x, weights, eps, type, saved);
  }
  EncoderGradients backward(const at::Tensor& dy, const at::Tensor& x, const EncoderWeights& weights) const {
    return cpu::encoder_feedforward_backward(dy, x, weights, eps, type, saved);
  }

  double eps;
  at::ScalarType type;
  cpu::EncoderFeedforwardSaved saved;
};

template <class Call>
at::Tensor run(Call call, const at::Tensor& x, const EncoderWeights& weights) {
  using Node = EncoderNode<Call>;
  const variable_list inputs = Node::inputs_of(x, weights);
  if (!at::GradMode::is_enabled() || !torch::autograd::any_variable_requires_grad(inputs)) {
    return call.forward(flat(x), weights).view(x.sizes());
  }
  const auto node = std::shared_ptr<Node>(new Node(std::move(call), x, weights), torch::autograd::deleteNode);
  at::Tensor y;
  {
    const at::NoGradGuard no_gradient;
    y = node->forward(x, weights).view(x.sizes());
  }
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  torch::autograd::create_gradient_edge(y, node);
  return y;
}

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
  const cpu::EncoderAttentionForm form{.sequences = {in.x.size(0), length, in.x.size(2)},
                                       .heads = in.heads,
                                       .eps = in.eps,
                                       .attn_mask = masked ? in.attn_mask.contiguous() : at::Tensor(),
                                       .type = operand_type(in.x, in.compute)};
  return run(AttentionCall{form, {}}, in.x,
             {in.in_proj_weight, in.in_proj_bias, in.out_proj_weight, in.out_proj_bias, in.norm_weight, in.norm_bias});
}

at::Tensor encoder_feedforward_sublayer(const EncoderFeedforwardInput& in) {
  SHINE_CHECK(in.x.dim() == 4 && in.linear1_weight.dim() == 2, ShapeError, "encoder layer: x of shape ", in.x.sizes(),
              ", linear1 ", in.linear1_weight.sizes(), ": expected (S, T, I, d), (ff, d)");
  const std::int64_t width = in.x.size(3), inner = in.linear1_weight.size(0);
  check_linear("linear1", in.x, in.linear1_weight, in.linear1_bias, inner, width);
  check_linear("linear2", in.x, in.linear2_weight, in.linear2_bias, width, inner);
  check_norm(in.x, in.norm_weight, in.norm_bias);
  return run(FeedforwardCall{in.eps, operand_type(in.x, in.compute), {}}, in.x,
             {in.linear1_weight, in.linear1_bias, in.linear2_weight, in.linear2_bias, in.norm_weight, in.norm_bias});
}

}  // namespace shine
