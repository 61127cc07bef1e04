#include "bench/op_profile.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <string_view>

namespace shine::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// LibTorch's callbacks are free functions, so they write to a global.
std::mutex mutex;
std::map<std::string, OpCost> totals;

struct Call : at::ObserverContext {
  Call* parent = nullptr;
  std::string name;
  double flops = 0.0;
  double children_seconds = 0.0;
  Clock::time_point start;
};

thread_local Call* innermost = nullptr;

/// Products with a side up to this are those of LoRAs and of the M2P's short attentions.
constexpr std::int64_t kThin = 32;

/// Adds the size class and the FLOPs of a matrix product of `a` (.., m, k) and `b` (.., k, n).
void describe_product(Call& call, const at::Tensor& a, const at::Tensor& b) {
  if (a.dim() < 2 || b.dim() < 2) return;
  const std::int64_t k = a.size(-1), n = b.size(-1), rows = k == 0 ? 0 : a.numel() / k;
  call.flops = 2.0 * static_cast<double>(rows) * static_cast<double>(k) * static_cast<double>(n);
  const bool thin = std::min({a.size(-2), k, n}) <= kThin;
  call.name += thin ? " (thin)" : " (large)";
}

void describe(Call& call, const at::RecordFunction& function) {
  call.name = function.name();
  const bool adds = call.name == "aten::addmm" || call.name == "aten::addmm_" || call.name == "aten::baddbmm";
  if (!adds && call.name != "aten::mm" && call.name != "aten::bmm") return;
  const auto inputs = function.inputs();
  const std::size_t first = adds ? 1 : 0;
  if (inputs.size() < first + 2 || !inputs[first].isTensor() || !inputs[first + 1].isTensor()) return;
  describe_product(call, inputs[first].toTensor(), inputs[first + 1].toTensor());
}

std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& function) {
  auto call = std::make_unique<Call>();
  describe(*call, function);
  call->parent = innermost;
  innermost = call.get();
  call->start = Clock::now();
  return call;
}

void on_end(const at::RecordFunction&, at::ObserverContext* context) {
  auto* call = static_cast<Call*>(context);
  const double seconds = std::chrono::duration<double>(Clock::now() - call->start).count();
  innermost = call->parent;
  if (call->parent != nullptr) call->parent->children_seconds += seconds;
  const std::lock_guard lock(mutex);
  OpCost& cost = totals[call->name];
  cost.self_seconds += seconds - call->children_seconds;
  cost.flops += call->flops;
  ++cost.calls;
}

}  // namespace

OpProfile::OpProfile() {
  totals.clear();
  handle_ = at::addGlobalCallback(at::RecordFunctionCallback(on_start, on_end)
                                      .needsInputs(true)
                                      .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
}

OpProfile::~OpProfile() {
  at::removeCallback(handle_);
}

std::vector<OpCost> OpProfile::costs() const {
  const std::lock_guard lock(mutex);
  std::vector<OpCost> all;
  for (const auto& [name, cost] : totals) {
    all.push_back(cost);
    all.back().name = name;
  }
  std::sort(all.begin(), all.end(), [](const OpCost& a, const OpCost& b) { return a.self_seconds > b.self_seconds; });
  return all;
}

}  // namespace shine::bench
