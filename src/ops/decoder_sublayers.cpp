#include "shine/ops/decoder_sublayers.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>

#include "cpu/attention_sublayer.h"
#include "cpu/mlp_sublayer.h"
#include "operations/attention_sublayer.h"
#include "operations/mlp_sublayer.h"
#include "shine/common/error.h"
#include "shine/ops/fused.h"

namespace shine {
namespace {

using torch::autograd::variable_list;

/// The tensors that get gradients, in the order of a node's edges: x, then a, b, c of each projection.
variable_list differentiable(const at::Tensor& x, std::span<const SublayerLora> lora) {
  variable_list all{x};
  for (const SublayerLora& each : lora) all.insert(all.end(), {each.a, each.b, each.c});
  return all;
}

std::vector<SublayerLora> detached(std::span<const SublayerLora> lora) {
  std::vector<SublayerLora> result;
  for (const SublayerLora& each : lora) {
    result.push_back({each.a.detach(), each.b.detach(), each.c.defined() ? each.c.detach() : each.c});
  }
  return result;
}

/// The LoRAs of a sub-layer against its weights, and its tokens against the spans of the adapters.
void check(std::span<const PreparedLinear> linear, std::span<const SublayerLora> lora, const at::Tensor& x,
           const TokenAdapters& given, std::int64_t tokens) {
  SHINE_CHECK(x.dim() == 2 && x.size(1) == linear.front().in, ShapeError, "sub-layer: x ", x.sizes(), ": expected (N, ",
              linear.front().in, ")");
  SHINE_CHECK(x.scalar_type() == linear.front().forward.scalar_type(), ShapeError, "sub-layer: x of ",
              at::toString(x.scalar_type()), " values, weights of ",
              at::toString(linear.front().forward.scalar_type()));
  if (lora.empty()) return;
  const std::int64_t adapters = lora.front().a.size(0), rank = lora.front().a.size(2);
  for (std::size_t p = 0; p < lora.size(); ++p) {
    const SublayerLora& each = lora[p];
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

/// The node of one sub-layer's call. A `Call` makes its sub-layer of LoRAs, and has forward, keep (the same without y),
/// backward and infer over it.
template <class Call>
class SublayerNode : public torch::autograd::Node {
 public:
  SublayerNode(Call call, const at::Tensor& x, std::span<const SublayerLora> lora, Keep keep)
      : call_(std::move(call)), keep_(keep) {
    for (const at::Tensor& each : differentiable(x, lora)) saved_.emplace_back(each, /*is_output=*/false);
  }

  at::Tensor run(const at::Tensor& x, std::span<const SublayerLora> lora) {
    make(lora);
    kept_.emplace();
    const at::Tensor y = call_.forward(*sublayer_, x, *kept_);
    if (keep_ == Keep::input) drop();
    return y;
  }

  variable_list apply(variable_list&& gradients) override {
    variable_list result(saved_.size());
    if (!gradients[0].defined()) return result;
    const at::NoGradGuard no_gradient;
    std::vector<at::Tensor> inputs;  // unpacking throws where one was changed in place
    for (auto& each : saved_) inputs.push_back(each.unpack());
    const at::Tensor x = inputs[0].detach();
    std::vector<SublayerLora> lora;
    for (std::size_t i = 1; i < inputs.size(); i += 3) lora.push_back({inputs[i], inputs[i + 1], inputs[i + 2]});
    if (!kept_) {
      make(detached(lora));
      kept_.emplace();
      call_.keep(*sublayer_, x, *kept_);
    }
    WantedGradients wanted{should_compute_output(0), false};
    for (std::size_t i = 1; i < inputs.size(); ++i) wanted.lora |= inputs[i].defined() && should_compute_output(i);
    auto found = call_.backward(*sublayer_, gradients[0].contiguous(), x, *kept_, wanted);
    if (keep_ == Keep::input) drop();
    result[0] = found.x;
    for (std::size_t p = 0; p < found.lora.size(); ++p) {
      const std::array<at::Tensor, 3> each{found.lora[p].a, found.lora[p].b, found.lora[p].c};
      for (std::size_t i = 0; i < 3; ++i) {
        if (should_compute_output(1 + 3 * p + i)) result[1 + 3 * p + i] = each[i];
      }
    }
    return result;
  }

  void release_variables() override {
    for (auto& each : saved_) each.reset_data();
    drop();
  }

  std::string name() const override { return Call::name; }

 private:
  using Sublayer = typename Call::Sublayer;

  void make(std::span<const SublayerLora> lora) {
    sublayer_ = std::unique_ptr<Sublayer>(new Sublayer(call_.make(lora)));
  }
  void drop() {
    kept_.reset();
    sublayer_.reset();
  }

  Call call_;
  Keep keep_;
  std::vector<torch::autograd::SavedVariable> saved_;  ///< x, then a, b, c of each projection
  std::unique_ptr<Sublayer> sublayer_;                 ///< holds copies of the LoRAs
  std::optional<typename Sublayer::Kept> kept_;
};

/// By either engine.
template <class Engine>
struct MlpCall {
  using Sublayer = Engine;
  using Kept = typename Sublayer::Kept;
  static constexpr const char* name = "MlpSublayer";

  Sublayer make(std::span<const SublayerLora> lora) const {
    if constexpr (std::is_same_v<Sublayer, operations::MlpSublayer>) {
      return Sublayer(*weights, lora, type, adapters.mask.defined());
    } else {
      return Sublayer(*weights, lora, type);
    }
  }
  at::Tensor forward(const Sublayer& s, const at::Tensor& x, Kept& kept) const { return s.forward(x, adapters, kept); }
  at::Tensor infer(const Sublayer& s, const at::Tensor& x) const { return s.infer(x, adapters); }
  void keep(const Sublayer& s, const at::Tensor& x, Kept& kept) const { s.keep(x, adapters, kept); }
  auto backward(Sublayer& s, const at::Tensor& dy, const at::Tensor& x, const Kept& kept,
                WantedGradients wanted) const {
    return s.backward(dy, x, kept, adapters, wanted);
  }

  std::shared_ptr<const MlpWeights> weights;
  at::ScalarType type;
  TokenAdapters adapters;
};

template <class Engine>
struct AttentionCall {
  using Sublayer = Engine;
  using Kept = typename Sublayer::Kept;
  static constexpr const char* name = "AttentionSublayer";

  Sublayer make(std::span<const SublayerLora> lora) const {
    if constexpr (std::is_same_v<Sublayer, operations::AttentionSublayer>) {
      const TokenAdapters& out = chosen ? chosen->adapters : batch->adapters;
      return Sublayer(*weights, lora, type, batch->adapters.mask.defined(), out.mask.defined());
    } else {
      return Sublayer(*weights, lora, type);
    }
  }
  at::Tensor forward(const Sublayer& s, const at::Tensor& x, Kept& kept) const {
    return s.forward(x, *batch, chosen.get(), kept);
  }
  at::Tensor infer(const Sublayer& s, const at::Tensor& x) const { return s.infer(x, *batch, chosen.get()); }
  void keep(const Sublayer& s, const at::Tensor& x, Kept& kept) const { s.keep(x, *batch, chosen.get(), kept); }
  auto backward(Sublayer& s, const at::Tensor& dy, const at::Tensor& x, const Kept& kept,
                WantedGradients wanted) const {
    return s.backward(dy, x, kept, *batch, chosen.get(), wanted);
  }

  std::shared_ptr<const AttentionWeights> weights;
  at::ScalarType type;
  std::shared_ptr<const SublayerBatch> batch;
  std::shared_ptr<const TokenChoice> chosen;
};

template <class Call>
at::Tensor run_call(Call call, const at::Tensor& x, std::span<const SublayerLora> lora, Keep keep) {
  const variable_list inputs = differentiable(x, lora);
  const std::vector<SublayerLora> frozen = detached(lora);
  if (!at::GradMode::is_enabled() || !torch::autograd::any_variable_requires_grad(inputs)) {
    const auto sublayer = call.make(frozen);
    return call.infer(sublayer, x);
  }
  using Node = SublayerNode<Call>;
  const auto node = std::shared_ptr<Node>(new Node(std::move(call), x, lora, keep), torch::autograd::deleteNode);
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

PreparedLinear prepare_linear(SublayerEngine engine, const at::Tensor& weight, const at::Tensor& bias) {
  const at::NoGradGuard no_gradient;
  const at::ScalarType type = weight.scalar_type();
  const at::Tensor frozen = weight.detach();
  PreparedLinear linear{frozen, frozen, bias.defined() ? bias.detach() : bias, weight.size(1), weight.size(0)};
  if (engine == SublayerEngine::operations) return linear;
  linear.forward = cpu::pack_right(frozen.t(), type);
  linear.backward = cpu::pack_right(frozen, type);
  if (bias.defined()) linear.bias = linear.bias.to(cpu::wide_type(type));
  return linear;
}

at::Tensor prepare_norm(SublayerEngine engine, const at::Tensor& weight) {
  if (!weight.defined()) return weight;
  const at::Tensor frozen = weight.detach();
  return engine == SublayerEngine::operations ? frozen : frozen.to(cpu::wide_type(frozen.scalar_type())).contiguous();
}

bool blocks_run(at::ScalarType type, at::Device device) {
  return device.is_cpu() && use_cpu_engine() && cpu::engine_runs(type);
}

at::Tensor attention_sublayer(const std::shared_ptr<const AttentionWeights>& weights, const at::Tensor& x,
                              const std::array<SublayerLora, 4>* lora,
                              const std::shared_ptr<const SublayerBatch>& batch,
                              const std::shared_ptr<const TokenChoice>& chosen, Keep keep) {
  const auto given = lora == nullptr ? std::span<const SublayerLora>() : std::span<const SublayerLora>(*lora);
  check(weights->linear, given, x, batch->adapters, batch->rows.tokens());
  const bool blocks = weights->engine == SublayerEngine::blocks;
  SHINE_CHECK(x.size(0) == batch->rows.tokens() && batch->cos.defined() == blocks, ShapeError, "sub-layer: x ",
              x.sizes(), " for a batch of ", batch->rows.tokens(), " tokens",
              batch->cos.defined() == blocks ? "" : ", made for another engine");
  const at::Tensor rows = x.contiguous();
  const at::ScalarType type = x.scalar_type();
  if (!blocks)
    return run_call(AttentionCall<operations::AttentionSublayer>{weights, type, batch, chosen}, rows, given, keep);
  return cpu::with_kernel_type(type, [&](auto kind) {
    return run_call(AttentionCall<cpu::AttentionSublayer<decltype(kind)>>{weights, type, batch, chosen}, rows, given,
                    keep);
  });
}

at::Tensor mlp_sublayer(const std::shared_ptr<const MlpWeights>& weights, const at::Tensor& x,
                        const std::array<SublayerLora, 3>* lora, const TokenAdapters& adapters, Keep keep) {
  const auto given = lora == nullptr ? std::span<const SublayerLora>() : std::span<const SublayerLora>(*lora);
  check(weights->linear, given, x, adapters, x.size(0));
  const at::Tensor rows = x.contiguous();
  const at::ScalarType type = x.scalar_type();
  const TokenAdapters used = given.empty() ? TokenAdapters{} : adapters;
  if (weights->engine == SublayerEngine::operations) {
    return run_call(MlpCall<operations::MlpSublayer>{weights, type, used}, rows, given, keep);
  }
  return cpu::with_kernel_type(type, [&](auto kind) {
    return run_call(MlpCall<cpu::MlpSublayer<decltype(kind)>>{weights, type, used}, rows, given, keep);
  });
}

}  // namespace shine
