#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAFunctions.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <utility>
#include <vector>

#include "common/main_guard.h"
#include "distributed/backends.h"
#include "distributed/checks.h"
#include "distributed/failure_watch.h"
#include "distributed/store.h"
#include "distributed/watchdog.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

using Clock = std::chrono::steady_clock;
using WorkPointer = c10::intrusive_ptr<c10d::Work>;

c10d::ReduceOp nccl_operation(Reduction reduction) {
  switch (reduction) {
    case Reduction::sum: return c10d::ReduceOp::SUM;
    case Reduction::minimum: return c10d::ReduceOp::MIN;
    case Reduction::maximum: return c10d::ReduceOp::MAX;
  }
  return c10d::ReduceOp::SUM;
}

/// The collectives that the GPU has not finished, polled by the failure watch's thread: the host does not wait in a
/// collective, so its own watchdog would not see one that hangs.
class CollectivesInFlight {
 public:
  CollectivesInFlight(at::Device device, double timeout_seconds) : device_(device), timeout_seconds_(timeout_seconds) {}

  void add(const WorkPointer& work) {
    const std::lock_guard lock(mutex_);
    works_.emplace_back(Clock::now(), work);
  }

  /// Why the oldest of them fails; empty while none does.
  std::string fault() {
    const std::lock_guard lock(mutex_);
    try {
      // A new thread uses GPU 0, where its queries would create a context for each rank of the machine.
      if (!works_.empty()) c10::cuda::set_device(device_.index());
      while (!works_.empty() && works_.front().second->isCompleted()) {
        if (const std::exception_ptr failed = works_.front().second->exception()) std::rethrow_exception(failed);
        works_.pop_front();
      }
    } catch (const std::exception& error) {
      return str("NCCL: ", error.what());
    }
    if (works_.empty()) return "";
    const std::chrono::duration<double> waited = Clock::now() - works_.front().first;
    if (waited.count() < timeout_seconds_) return "";
    return str("a collective has waited ", timeout_seconds_,
               " s for the other ranks (one hangs or is gone; or raise run.rank_timeout)");
  }

 private:
  at::Device device_;
  double timeout_seconds_;
  std::mutex mutex_;
  std::deque<std::pair<Clock::time_point, WorkPointer>> works_;
};

/// Afterwards the current stream waits for the collective; a result that belongs on the CPU has been copied there.
class NcclPending : public PendingCollective {
 public:
  NcclPending(Watchdog& watchdog, WorkPointer work) : watchdog_(watchdog), work_(std::move(work)) {}

  void copy_at_end(at::Tensor to, at::Tensor from) { copies_.emplace_back(std::move(to), std::move(from)); }

  void wait() override {
    const Watchdog::Guard guard(watchdog_);
    work_->wait();
    for (auto& [to, from] : copies_) to.copy_(from);
  }

 private:
  Watchdog& watchdog_;
  WorkPointer work_;
  std::vector<std::pair<at::Tensor, at::Tensor>> copies_;
};

class NcclGroup : public ProcessGroup {
 public:
  NcclGroup(const Launch& launch, at::Device device, double timeout_seconds)
      : ProcessGroup(launch.rank, launch.size),
        device_(device),
        timeout_seconds_(timeout_seconds),
        in_flight_(device, timeout_seconds),
        watchdog_(timeout_seconds, collective_timeout_fault(timeout_seconds)) {}

  ~NcclGroup() override {
    if (finished_) return;
    if (watch_) watch_->fail("ended before the others");
    // Its destructor would wait for collectives that may never end, so it is leaked, and with it threads that use
    // static objects.
    (void)nccl_.release();
    keep_static_objects();
  }

  /// Waits for ranks that start late; the first collective sets up NCCL's connections.
  void start(const Launch& launch) {
    store_ = join_store(launch, timeout_seconds_);
    FailureWatchOptions watching;
    watching.own_fault = [this] { return in_flight_.fault(); };
    watch_ = std::make_unique<FailureWatch>(store_->clone(), launch, std::move(watching));
    c10::cuda::set_device(device_.index());
    require_own_gpu();
    auto options = c10d::ProcessGroupNCCL::Options::create();
    // Longer than the failure watch, which ends the process with one line; c10d's own watchdog writes more.
    options->timeout = milliseconds(timeout_seconds_ + 30);
    nccl_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(store_, rank(), size(), options);
    barrier();
  }

  std::string backend() const override { return "NCCL"; }

  Pending start_all_reduce(at::Tensor tensor, Reduction reduction) override {
    check_collective(tensor);
    c10d::AllreduceOptions options;
    options.reduceOp = nccl_operation(reduction);
    std::vector<at::Tensor> tensors{on_device(tensor)};
    const Watchdog::Guard guard(watchdog_);
    return pending(nccl_->allreduce(tensors, options), tensor, tensors[0]);
  }

  Pending start_reduce_scatter(at::Tensor output, at::Tensor input) override {
    check_pieces(input, output, size());
    at::Tensor whole = on_device(input);
    at::Tensor piece = room_on_device(output);
    const Watchdog::Guard guard(watchdog_);
    return pending(nccl_->_reduce_scatter_base(piece, whole), output, piece);
  }

  Pending start_all_gather(at::Tensor output, at::Tensor input) override {
    check_pieces(output, input, size());
    at::Tensor piece = on_device(input);
    at::Tensor whole = room_on_device(output);
    const Watchdog::Guard guard(watchdog_);
    return pending(nccl_->_allgather_base(whole, piece), output, whole);
  }

  void broadcast(at::Tensor tensor, int root) override {
    check_collective(tensor);
    c10d::BroadcastOptions options;
    options.rootRank = root;
    std::vector<at::Tensor> tensors{on_device(tensor)};
    Pending sent;
    {
      const Watchdog::Guard guard(watchdog_);
      sent = pending(nccl_->broadcast(tensors, options), tensor, tensors[0]);
    }
    sent->wait();
  }

  void barrier() override {
    // Unlike the others, the host waits for it: a tensor on the CPU is copied back.
    all_reduce(at::zeros({1}));
  }

  void fail(std::string_view reason) noexcept override {
    if (watch_) watch_->fail(reason);
  }

  void finish() override {
    barrier();
    {
      const Watchdog::Guard guard(watchdog_);
      c10::cuda::device_synchronize();
      nccl_->shutdown();
    }
    watch_->leave();
    finished_ = true;
  }

 private:
  /// Two ranks on one GPU would deadlock in NCCL's set-up, or fail without saying why.
  void require_own_gpu() {
    const cudaUUID_t id = at::cuda::getDeviceProperties(device_.index())->uuid;
    const std::string own(id.bytes, sizeof id.bytes);
    store_->set(str("gpu.", rank()), own);
    for (int other = 0; other < size(); ++other) {
      SHINE_CHECK(other == rank() || store_->get_to_str(str("gpu.", other)) != own, ConfigError, "ranks ", rank(),
                  " and ", other, " share one GPU, and each needs its own (start fewer ranks, or let every rank see ",
                  "all GPUs of its machine)");
    }
  }

  at::Tensor on_device(const at::Tensor& tensor) const { return tensor.to(device_); }
  at::Tensor room_on_device(const at::Tensor& tensor) const {
    return tensor.device() == device_ ? tensor : at::empty_like(tensor, tensor.options().device(device_));
  }

  Pending pending(const WorkPointer& work, const at::Tensor& to, const at::Tensor& from) {
    in_flight_.add(work);
    auto result = std::make_unique<NcclPending>(watchdog_, work);
    if (to.device() != device_) result->copy_at_end(to, from);
    return result;
  }

  at::Device device_;
  double timeout_seconds_;
  CollectivesInFlight in_flight_;
  Watchdog watchdog_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl_;
  std::unique_ptr<FailureWatch> watch_;
  bool finished_ = false;
};

/// What c10d's watchdog does about a collective that fails or hangs, unless the user sets it: it reports, and leaves
/// the rest to the failure watch, which polls NCCL and the GPU and keeps the time itself. Otherwise the watchdog might
/// see an error first and abort the process with a trace before the others hear the reason.
void prepare_c10d() {
  constexpr const char* no_handling = "0";  // c10d::ErrorHandlingMode
  static_assert(c10d::NoHandling == 0);
  const auto set = [](const char* name, const char* value) { ::setenv(name, value, /*overwrite=*/0); };
  set("TORCH_NCCL_ASYNC_ERROR_HANDLING", no_handling);
  // A CUDA error ends only the watchdog's thread.
  set("TORCH_NCCL_RETHROW_CUDA_ERRORS", "0");
  // No traces of what all ranks did: it would wait for them.
  set("TORCH_NCCL_DUMP_ON_TIMEOUT", "0");
}

}  // namespace

std::unique_ptr<ProcessGroup> make_nccl_group(const Launch& launch, at::Device device, const GroupOptions& options) {
  prepare_c10d();
  auto group = std::make_unique<NcclGroup>(launch, device, options.timeout_seconds);
  try {
    group->start(launch);
  } catch (const std::exception& fault) {
    group->fail(fault.what());
    throw;
  }
  return group;
}

}  // namespace shine
