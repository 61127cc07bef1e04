#include "ops/decoder_sublayers.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>

#include "kernels/cpu/attention_sublayer.h"
#include "kernels/cpu/mlp_sublayer.h"
#include "kernels/fused.h"
#include "kernels/torch/attention_sublayer.h"
#include "kernels/torch/mlp_sublayer.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using torch::autograd::variable_list;

/// The tensors that get gradients, in the order of a node's edges: x, then a, b, c of each projection.
variable_list differentiable(const at::Tensor& x, std::span<const LoraWeights> lora) {
  variable_list all{x};
  append_tensors(lora, all);
  return all;
}

std::vector<LoraWeights> detached(std::span<const LoraWeights> lora) {
  std::vector<LoraWeights> result;
  for (const LoraWeights& each : lora) {
    result.push_back({each.a.detach(), each.b.detach(), each.c.defined() ? each.c.detach() : each.c});
  }
  return result;
}

/// The LoRAs of a sub-layer against its weights, and its tokens against the spans of the adapters.
void check(std::span<const PreparedLinear> linear, std::span<const LoraWeights> lora, const at::Tensor& x,
           const TokenAdapters& given, std::int64_t tokens) {
  SHINE_CHECK(x.dim() == 2 && x.size(1) == linear.front().in, ShapeError, "sub-layer: x ", x.sizes(), ": expected (N, ",
              linear.front().in, ")");
  SHINE_CHECK(x.scalar_type() == linear.front().forward.scalar_type(), ShapeError, "sub-layer: x of ",
              at::toString(x.scalar_type()), " values, weights of ",
              at::toString(linear.front().forward.scalar_type()));
  if (lora.empty()) return;
  SHINE_CHECK(lora.size() == linear.size(), ShapeError, "sub-layer: LoRAs of ", lora.size(), " projections: expected ",
              linear.size());
  const std::int64_t adapters = lora.front().a.size(0), rank = lora.front().a.size(2);
  for (std::size_t p = 0; p < lora.size(); ++p) {
    const LoraWeights& each = lora[p];
    const bool fits = each.a.sizes() == at::IntArrayRef({adapters, linear[p].in, rank}) &&
                      each.b.sizes() == at::IntArrayRef({adapters, rank, linear[p].out}) &&
                      (!each.c.defined() || each.c.sizes() == at::IntArrayRef({adapters, linear[p].out}));
    SHINE_CHECK(fits, ShapeError, "sub-layer: A ", each.a.sizes(), ", B ", each.b.sizes(), ": expected (", adapters,
                ", ", linear[p].in, ", ", rank, "), (", adapters, ", ", rank, ", ", linear[p].out, ")");
  }
  const std::vector<std::int64_t>& spans = given.spans;
  const bool spans_fit = static_cast<std::int64_t>(spans.size()) == adapters + 1 && spans.front() == 0 &&
                         spans.back() == tokens && std::ranges::is_sorted(spans);
  SHINE_CHECK(given.mask.defined() ? given.mask.sizes() == at::IntArrayRef({tokens, adapters}) : spans_fit, ShapeError,
              "sub-layer: offsets ", join(spans, ", "), " for ", adapters, " LoRAs and ", tokens, " tokens");
}

/// One call of a sub-layer, by either backend.
template <class Sublayer>
struct Call {
  std::unique_ptr<Sublayer> make(std::span<const LoraWeights> lora) const {
    return std::make_unique<Sublayer>(*weights, lora, type, pass);
  }

  std::shared_ptr<const typename Sublayer::Weights> weights;
  at::ScalarType type;
  typename Sublayer::Pass pass;
};

/// Its autograd node.
template <class Sublayer>
class SublayerNode : public torch::autograd::Node {
 public:
  SublayerNode(Call<Sublayer> call, const at::Tensor& x, std::span<const LoraWeights> lora, SavedActivations save)
      : call_(std::move(call)), save_(save) {
    for (const at::Tensor& each : differentiable(x, lora)) saved_.emplace_back(each, /*is_output=*/false);
  }

  at::Tensor run(const at::Tensor& x, std::span<const LoraWeights> lora) {
    sublayer_ = call_.make(lora);
    activations_.emplace();
    const at::Tensor y = sublayer_->forward(x, *activations_);
    if (save_ == SavedActivations::input_only) drop();
    return y;
  }

  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return variable_list(saved_.size());
    const at::NoGradGuard no_gradient;
    std::vector<at::Tensor> inputs;  // unpacking throws where one was changed in place
    for (auto& each : saved_) inputs.push_back(each.unpack());
    const at::Tensor x = inputs[0].detach();
    if (!activations_) {
      sublayer_ = call_.make(detached(lora_weights_of(std::span(inputs).subspan(1))));
      activations_.emplace();
      sublayer_->recompute(x, *activations_);
    }
    WantedGradients wanted{should_compute_output(0), false};
    for (std::size_t i = 1; i < inputs.size(); ++i) wanted.lora |= inputs[i].defined() && should_compute_output(i);
    const SublayerGradients found = sublayer_->backward(gradients[0].contiguous(), x, *activations_, wanted);
    if (save_ == SavedActivations::input_only) drop();
    variable_list result = differentiable(found.x, found.lora);
    result.resize(saved_.size());  // without LoRAs where none is wanted
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (!should_compute_output(i)) result[i].reset();
    }
    return result;
  }

  void release_variables() override {
    for (auto& each : saved_) each.reset_data();
    drop();
  }

  std::string name() const override { return Sublayer::kName; }

 private:
  void drop() {
    activations_.reset();
    sublayer_.reset();
  }

  Call<Sublayer> call_;
  SavedActivations save_;
  std::vector<torch::autograd::SavedVariable> saved_;  ///< x, then a, b, c of each projection
  std::unique_ptr<Sublayer> sublayer_;                 ///< holds copies of the LoRAs
  std::optional<typename Sublayer::Saved> activations_;
};

template <class Sublayer>
at::Tensor run_call(Call<Sublayer> call, const at::Tensor& x, std::span<const LoraWeights> lora,
                    SavedActivations save) {
  const variable_list inputs = differentiable(x, lora);
  const std::vector<LoraWeights> frozen = detached(lora);
  if (!at::GradMode::is_enabled() || !torch::autograd::any_variable_requires_grad(inputs)) {
    return call.make(frozen)->infer(x);
  }
  using Node = SublayerNode<Sublayer>;
  const auto node = std::shared_ptr<Node>(new Node(std::move(call), x, lora, save), torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  at::Tensor y;
  {
    const at::NoGradGuard no_gradient;
    y = node->run(x.detach(), frozen);
  }
  torch::autograd::create_gradient_edge(y, node);
  return y;
}

}  // namespace

PreparedLinear prepare_linear(SublayerBackend backend, const at::Tensor& weight, const at::Tensor& bias) {
  const at::NoGradGuard no_gradient;
  const at::ScalarType type = weight.scalar_type();
  const at::Tensor frozen = weight.detach();
  PreparedLinear linear{frozen, frozen, bias.defined() ? bias.detach() : bias, weight.size(1), weight.size(0)};
  if (backend == SublayerBackend::torch) return linear;
  linear.forward = cpu::pack_right(frozen.t(), type);
  linear.backward = cpu::pack_right(frozen, type);
  if (bias.defined()) linear.bias = linear.bias.to(cpu::wide_type(type));
  return linear;
}

at::Tensor prepare_norm(SublayerBackend backend, const at::Tensor& weight) {
  if (!weight.defined()) return weight;
  const at::Tensor frozen = weight.detach();
  return backend == SublayerBackend::torch ? frozen : frozen.to(cpu::wide_type(frozen.scalar_type())).contiguous();
}

bool cpu_backend_runs(at::ScalarType type, at::Device device) {
  return device.is_cpu() && use_fused_forms() && cpu::kernels_run(type);
}

at::Tensor attention_sublayer(const std::shared_ptr<const AttentionWeights>& weights, const at::Tensor& x,
                              std::span<const LoraWeights> lora, const std::shared_ptr<const SublayerBatch>& batch,
                              const std::shared_ptr<const TokenChoice>& chosen, SavedActivations save) {
  check(weights->linear, lora, x, batch->adapters, batch->rows.tokens());
  const bool on_cpu_backend = weights->backend == SublayerBackend::cpu;
  SHINE_CHECK(x.size(0) == batch->rows.tokens() && batch->cos.defined() == on_cpu_backend, ShapeError, "sub-layer: x ",
              x.sizes(), " for a batch of ", batch->rows.tokens(), " tokens",
              batch->cos.defined() == on_cpu_backend ? "" : ", made for another backend");
  const at::Tensor rows = x.contiguous();
  const at::ScalarType type = x.scalar_type();
  const AttentionPass pass{batch, chosen};
  if (!on_cpu_backend) {
    return run_call(Call<torch_kernels::AttentionSublayer>{weights, type, pass}, rows, lora, save);
  }
  return cpu::with_kernel_type(type, [&](auto kind) {
    return run_call(Call<cpu::AttentionSublayer<decltype(kind)>>{weights, type, pass}, rows, lora, save);
  });
}

at::Tensor mlp_sublayer(const std::shared_ptr<const MlpWeights>& weights, const at::Tensor& x,
                        std::span<const LoraWeights> lora, const TokenAdapters& adapters, SavedActivations save) {
  check(weights->linear, lora, x, adapters, x.size(0));
  const at::Tensor rows = x.contiguous();
  const at::ScalarType type = x.scalar_type();
  const TokenAdapters used = lora.empty() ? TokenAdapters{} : adapters;
  if (weights->backend == SublayerBackend::torch) {
    return run_call(Call<torch_kernels::MlpSublayer>{weights, type, used}, rows, lora, save);
  }
  return cpu::with_kernel_type(type, [&](auto kind) {
    return run_call(Call<cpu::MlpSublayer<decltype(kind)>>{weights, type, used}, rows, lora, save);
  });
}

}  // namespace shine
