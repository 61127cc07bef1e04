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

/// The node of one sub-layer's call. `Call` has a sub-layer of T (`sublayer`), and forward, keep (the same without y)
/// and backward over it.
template <class Call>
class SublayerNode : public torch::autograd::Node {
 public:
  SublayerNode(std::unique_ptr<Call> call, const at::Tensor& x, std::size_t projections, Keep keep)
      : call_(std::move(call)), x_(x, /*is_output=*/false), projections_(projections), keep_(keep) {}

  at::Tensor run(const at::Tensor& x) {
    kept_.emplace();
    const at::Tensor y = call_->forward(x, *kept_);
    if (keep_ == Keep::input) kept_.reset();
    return y;
  }

  variable_list apply(variable_list&& gradients) override {
    variable_list result(1 + 3 * projections_);
    if (!gradients[0].defined()) return result;
    const at::NoGradGuard no_gradient;
    const at::Tensor x = x_.unpack().detach();
    if (!kept_) {
      kept_.emplace();
      call_->keep(x, *kept_);
    }
    auto found = call_->backward(gradients[0].contiguous(), x, *kept_, should_compute_output(0));
    if (keep_ == Keep::input) kept_.reset();
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
    x_.reset_data();
    kept_.reset();
    call_.reset();
  }

  std::string name() const override { return Call::name; }

 private:
  std::unique_ptr<Call> call_;
  std::optional<typename Call::Kept> kept_;
  torch::autograd::SavedVariable x_;
  std::size_t projections_;
  Keep keep_;
};

constexpr const char* kMlpName = "MlpSublayer";
constexpr const char* kAttentionName = "AttentionSublayer";

template <class T>
struct MlpBlocks {
  using Kept = typename cpu::MlpSublayer<T>::Kept;
  static constexpr const char* name = kMlpName;

  at::Tensor forward(const at::Tensor& x, Kept& kept) const { return sublayer.forward(x, adapters.spans, &kept); }
  void keep(const at::Tensor& x, Kept& kept) const { sublayer.keep(x, adapters.spans, kept); }
  auto backward(const at::Tensor& dy, const at::Tensor& x, const Kept& kept, bool need_x) {
    return sublayer.backward(dy, x, kept, adapters.spans, need_x);
  }
  at::Tensor infer(const at::Tensor& x) const { return sublayer.forward(x, adapters.spans, nullptr); }

  std::shared_ptr<const MlpWeights> weights;
  cpu::MlpSublayer<T> sublayer;
  TokenAdapters adapters;
};

template <class T>
struct AttentionBlocks {
  using Kept = typename cpu::AttentionSublayer<T>::Kept;
  static constexpr const char* name = kAttentionName;

  at::Tensor forward(const at::Tensor& x, Kept& kept) const { return sublayer.forward(x, *batch, chosen.get(), kept); }
  void keep(const at::Tensor& x, Kept& kept) const { sublayer.keep(x, *batch, chosen.get(), kept); }
  auto backward(const at::Tensor& dy, const at::Tensor& x, const Kept& kept, bool need_x) {
    return sublayer.backward(dy, x, kept, *batch, chosen.get(), need_x);
  }
  at::Tensor infer(const at::Tensor& x) const {
    Kept kept;
    return forward(x, kept);
  }

  std::shared_ptr<const AttentionWeights> weights;
  cpu::AttentionSublayer<T> sublayer;
  std::shared_ptr<const SublayerBatch> batch;
  std::shared_ptr<const TokenChoice> chosen;
};

struct MlpOperations {
  using Kept = operations::MlpSublayer::Kept;
  static constexpr const char* name = kMlpName;

  at::Tensor forward(const at::Tensor& x, Kept& kept) const { return sublayer.forward(x, adapters, kept); }
  void keep(const at::Tensor& x, Kept& kept) const { sublayer.keep(x, adapters, kept); }
  auto backward(const at::Tensor& dy, const at::Tensor& x, const Kept& kept, bool need_x) const {
    return sublayer.backward(dy, x, kept, adapters, need_x);
  }
  at::Tensor infer(const at::Tensor& x) const {
    Kept kept;
    return forward(x, kept);
  }

  std::shared_ptr<const MlpWeights> weights;
  operations::MlpSublayer sublayer;
  TokenAdapters adapters;
};

struct AttentionOperations {
  using Kept = operations::AttentionSublayer::Kept;
  static constexpr const char* name = kAttentionName;

  at::Tensor forward(const at::Tensor& x, Kept& kept) const { return sublayer.forward(x, *batch, chosen.get(), kept); }
  void keep(const at::Tensor& x, Kept& kept) const { sublayer.keep(x, *batch, chosen.get(), kept); }
  auto backward(const at::Tensor& dy, const at::Tensor& x, const Kept& kept, bool need_x) const {
    return sublayer.backward(dy, x, kept, *batch, chosen.get(), need_x);
  }
  at::Tensor infer(const at::Tensor& x) const { return sublayer.infer(x, *batch, chosen.get()); }

  std::shared_ptr<const AttentionWeights> weights;
  operations::AttentionSublayer sublayer;
  std::shared_ptr<const SublayerBatch> batch;
  std::shared_ptr<const TokenChoice> chosen;
};

template <class Call>
at::Tensor run_call(std::unique_ptr<Call> call, const at::Tensor& x, std::span<const SublayerLora> lora, Keep keep) {
  const variable_list inputs = differentiable(x, lora);
  if (!at::GradMode::is_enabled() || !torch::autograd::any_variable_requires_grad(inputs)) return call->infer(x);
  using Node = SublayerNode<Call>;
  const auto node = std::shared_ptr<Node>(new Node(std::move(call), x, lora.size(), keep), torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  at::Tensor y;
  {
    const at::NoGradGuard no_gradient;
    y = node->run(x.detach());
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
  const at::Tensor rows = x.contiguous();
  const auto frozen = detached(given);
  if (weights->engine == SublayerEngine::operations) {
    const bool masked = batch->adapters.mask.defined();
    auto call = std::unique_ptr<AttentionOperations>(new AttentionOperations{
        weights, operations::AttentionSublayer(*weights, frozen, x.scalar_type(), masked), batch, chosen});
    return run_call(std::move(call), rows, given, keep);
  }
  return cpu::with_kernel_type(x.scalar_type(), [&](auto kind) {
    using T = decltype(kind);
    auto call = std::unique_ptr<AttentionBlocks<T>>(
        new AttentionBlocks<T>{weights, cpu::AttentionSublayer<T>(*weights, frozen, x.scalar_type()), batch, chosen});
    return run_call(std::move(call), rows, given, keep);
  });
}

at::Tensor mlp_sublayer(const std::shared_ptr<const MlpWeights>& weights, const at::Tensor& x,
                        const std::array<SublayerLora, 3>* lora, const TokenAdapters& adapters, Keep keep) {
  const auto given = lora == nullptr ? std::span<const SublayerLora>() : std::span<const SublayerLora>(*lora);
  check(weights->linear, given, x, adapters, x.size(0));
  const at::Tensor rows = x.contiguous();
  const auto frozen = detached(given);
  const TokenAdapters used = given.empty() ? TokenAdapters{} : adapters;
  if (weights->engine == SublayerEngine::operations) {
    auto call = std::unique_ptr<MlpOperations>(new MlpOperations{
        weights, operations::MlpSublayer(*weights, frozen, x.scalar_type(), used.mask.defined()), used});
    return run_call(std::move(call), rows, given, keep);
  }
  return cpu::with_kernel_type(x.scalar_type(), [&](auto kind) {
    using T = decltype(kind);
    auto call = std::unique_ptr<MlpBlocks<T>>(
        new MlpBlocks<T>{weights, cpu::MlpSublayer<T>(*weights, frozen, x.scalar_type()), used});
    return run_call(std::move(call), rows, given, keep);
  });
}

}  // namespace shine
