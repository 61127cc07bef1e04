#include "ops/replayed_work.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "shine/common/error.h"

namespace shine::test {
namespace {

/// A dispatch key below autograd that nothing else uses: while a thread includes it, all its operations go through
/// here.
constexpr auto kKey = c10::DispatchKey::Fake;

struct Call {
  c10::OperatorHandle op;
  std::vector<c10::IValue> arguments, results;
};

thread_local std::vector<Call>* noted = nullptr;

std::vector<c10::IValue> last(const torch::jit::Stack& stack, std::size_t count) {
  return {stack.end() - static_cast<std::ptrdiff_t>(count), stack.end()};
}

bool reads_to_host(std::string_view op) {
  return op == "aten::_local_scalar_dense" || op == "aten::equal" || op == "aten::is_nonzero";
}

/// Allocates without launching: its values come from elsewhere.
bool allocates_only(std::string_view op) {
  return op.starts_with("aten::empty") || op.starts_with("aten::new_empty");
}

void note_call(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  const std::string& name = op.operator_name().name;
  SHINE_CHECK(!reads_to_host(name), Error, "a capture cannot give the host a value (", name, ")");
  Call call{op, last(*stack, op.schema().arguments().size()), {}};
  {
    const c10::impl::ExcludeDispatchKeyGuard inside(kKey);
    op.redispatchBoxed(keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kKey), stack);
  }
  call.results = last(*stack, op.schema().returns().size());
  if (!allocates_only(name)) noted->push_back(std::move(call));
}

void add_tensors(const c10::IValue& value, std::vector<at::Tensor>& tensors) {
  if (value.isTensor()) tensors.push_back(value.toTensor());
  if (value.isList()) {
    for (const c10::IValue& element : value.toListRef()) add_tensors(element, tensors);
  }
}

std::vector<at::Tensor> tensors_of(const std::vector<c10::IValue>& values) {
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& value : values) add_tensors(value, tensors);
  return tensors;
}

void do_again(const Call& call) {
  torch::jit::Stack stack(call.arguments.begin(), call.arguments.end());
  call.op.callBoxed(&stack);
  std::set<const void*> given;
  for (const at::Tensor& tensor : tensors_of(call.arguments)) {
    if (tensor.defined()) given.insert(tensor.storage().unsafeGetStorageImpl());
  }
  const auto results = tensors_of(call.results), again = tensors_of({stack.begin(), stack.end()});
  for (std::size_t i = 0; i < results.size(); ++i) {
    // Views of an argument, and arguments written to, have their new values already.
    if (!results[i].defined() || given.contains(results[i].storage().unsafeGetStorageImpl())) continue;
    results[i].copy_(again[i]);
  }
}

std::vector<Call> calls_of(const GraphedWork::Part& part) {
  std::vector<Call> calls;
  const c10::impl::IncludeDispatchKeyGuard passing(kKey);
  noted = &calls;
  part();
  return calls;
}

class ReplayedWork : public GraphedWork {
 public:
  ReplayedWork(std::vector<Part> parts, c10::Device device)
      : GraphedWork({}, device, /*capture=*/false), parts_(std::move(parts)) {}

  void run(std::size_t part) override {
    if (calls_.empty()) capture();
    const at::AutoDispatchBelowADInplaceOrView without_autograd;
    for (const Call& call : calls_.at(part)) do_again(call);
  }

  bool captures() const override { return true; }

 private:
  void capture() {
    for (const Part& part : parts_) part();  // the warm-up
    std::vector<std::vector<Call>> calls;
    for (const Part& part : parts_) calls.push_back(calls_of(part));
    calls_ = std::move(calls);
  }

  std::vector<Part> parts_;
  std::vector<std::vector<Call>> calls_;
};

}  // namespace

TORCH_LIBRARY_IMPL(_, Fake, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&note_call>());
}

std::unique_ptr<GraphedWork> replay_on_cpu(std::vector<GraphedWork::Part> parts, c10::Device device) {
  return std::make_unique<ReplayedWork>(std::move(parts), device);
}

}  // namespace shine::test
