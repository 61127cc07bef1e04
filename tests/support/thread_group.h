#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "shine/common/error.h"
#include "shine/distributed/process_group.h"

namespace shine::test {

/// What the ranks of a ThreadGroup share: a meeting point, and what each brings to it.
class ThreadRoom {
 public:
  /// One rank's part of a collective.
  struct Part {
    std::string call;  ///< with shapes and types: that of every rank must be equal
    at::Tensor input;
  };

  explicit ThreadRoom(int size) : parts_(static_cast<std::size_t>(size)) {}

  /// Shows a rank's part to all, lets it read those of all, and returns once all have read.
  /// Throws Error where another rank calls something else, has failed or has left.
  void meet(int rank, Part part, const std::function<void(const std::vector<Part>&)>& read) {
    parts_[static_cast<std::size_t>(rank)] = std::move(part);
    wait_for_all();
    const auto other =
        std::find_if(parts_.begin(), parts_.end(), [&](const Part& one) { return one.call != parts_.front().call; });
    if (other != parts_.end()) {
      throw Error(str("rank 0 calls ", parts_.front().call, ", rank ", other - parts_.begin(), " ", other->call));
    }
    read(parts_);
    wait_for_all();
  }

  /// A rank ends; with an exception, its own or one by which it was told of another's.
  void leave(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    someone_left_ = true;
    if (!first_failure_) first_failure_ = std::move(failure);
    changed_.notify_all();
  }

  std::exception_ptr first_failure() const { return first_failure_; }

 private:
  void wait_for_all() {
    std::unique_lock lock(mutex_);
    if (++arrived_ == parts_.size()) {
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
      return;
    }
    const std::size_t round = round_;
    changed_.wait(lock, [&] { return round_ != round || someone_left_; });
    if (round_ == round) throw Error("another rank has failed or has left while this one waits for it");
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Part> parts_;
  std::size_t arrived_ = 0, round_ = 0;
  bool someone_left_ = false;
  std::exception_ptr first_failure_;
};

/// A rank that is a thread of this process. Sums are in the order of the ranks. What a collective gives is in its
/// tensors after wait() and not before, so that a test notices who forgets it; a reduce-scatter into its own input
/// spoils the other pieces. Ranks that call different collectives, or the same with other shapes, fail.
class ThreadGroup : public ProcessGroup {
 public:
  ThreadGroup(ThreadRoom& room, int rank, int size) : ProcessGroup(rank, size), room_(room) {}

  std::string backend() const override { return "threads"; }

  Pending start_all_reduce(at::Tensor tensor, Reduction reduction) override {
    at::Tensor result;
    meet("all_reduce", tensor, {static_cast<std::int64_t>(reduction)}, [&](const auto& parts) {
      result = parts[0].input.clone();
      for (std::size_t r = 1; r < parts.size(); ++r) {
        switch (reduction) {
          case Reduction::sum: result += parts[r].input; break;
          case Reduction::minimum: result = at::minimum(result, parts[r].input); break;
          case Reduction::maximum: result = at::maximum(result, parts[r].input); break;
        }
      }
    });
    return later([tensor, result] { tensor.copy_(result); });
  }

  Pending start_reduce_scatter(at::Tensor output, at::Tensor input) override {
    const std::int64_t piece = output.numel(), start = rank() * piece;
    SHINE_CHECK(input.numel() == size() * piece && output.is_contiguous(), ShapeError, "reduce_scatter of ",
                input.sizes(), " into ", output.sizes());
    at::Tensor result;
    meet("reduce_scatter", input, {piece}, [&](const auto& parts) {
      result = parts[0].input.flatten().narrow(0, start, piece).clone();
      for (std::size_t r = 1; r < parts.size(); ++r) result += parts[r].input.flatten().narrow(0, start, piece);
    });
    return later([=, this] {
      if (output.const_data_ptr() == place(input, rank(), piece) && input.is_floating_point()) {
        input.fill_(std::numeric_limits<double>::quiet_NaN());
      }
      output.view({-1}).copy_(result);
    });
  }

  Pending start_all_gather(at::Tensor output, at::Tensor input) override {
    SHINE_CHECK(output.numel() == size() * input.numel() && output.is_contiguous(), ShapeError, "all_gather of ",
                input.sizes(), " into ", output.sizes());
    std::vector<at::Tensor> pieces;
    meet("all_gather", input, {}, [&](const auto& parts) {
      for (const auto& part : parts) pieces.push_back(part.input.flatten().clone());
    });
    return later([output, result = at::cat(pieces)] { output.view({-1}).copy_(result); });
  }

  void broadcast(at::Tensor tensor, int root) override {
    at::Tensor result;
    meet("broadcast", tensor, {root},
         [&](const auto& parts) { result = parts[static_cast<std::size_t>(root)].input.clone(); });
    tensor.copy_(result);
  }

  void barrier() override {
    meet("barrier", at::zeros({0}), {}, [](const auto&) {});
  }
  void finish() override {
    meet("finish", at::zeros({0}), {}, [](const auto&) {});
  }

 private:
  /// Runs a function at wait().
  class Later : public PendingCollective {
   public:
    explicit Later(std::function<void()> end) : end_(std::move(end)) {}
    void wait() override { end_(); }

   private:
    std::function<void()> end_;
  };

  static Pending later(std::function<void()> end) { return std::make_unique<Later>(std::move(end)); }

  static const void* place(const at::Tensor& tensor, std::int64_t piece, std::int64_t numel) {
    return static_cast<const char*>(tensor.const_data_ptr()) + piece * numel * tensor.element_size();
  }

  void meet(const char* name, const at::Tensor& tensor, const std::vector<std::int64_t>& options,
            const std::function<void(const std::vector<ThreadRoom::Part>&)>& read) {
    constexpr std::array kinds{at::kFloat, at::kDouble, at::kLong, at::kInt, at::kByte};
    SHINE_CHECK(tensor.is_contiguous(), ShapeError, name, " of a tensor that is not contiguous");
    SHINE_CHECK(std::find(kinds.begin(), kinds.end(), tensor.scalar_type()) != kinds.end(), ShapeError, name, " of ",
                tensor.scalar_type());
    const at::NoGradGuard no_grad;
    room_.meet(rank(),
               {shine::str(name, " ", tensor.scalar_type(), " ", tensor.sizes(), " (", join(options, ", "), ")"),
                tensor.detach()},
               read);
  }

  ThreadRoom& room_;
};

/// A group for what keeps a share of it; it must outlive that.
inline std::shared_ptr<ProcessGroup> shared(ProcessGroup& group) {
  return {&group, [](ProcessGroup*) {}};
}

/// Runs the body on `size` ranks, each a thread of this process, and throws what the first to fail threw: the others
/// are told of it where they wait for it. Process-wide state (random generators, the log, signals) is common to all.
inline void run_ranks(int size, const std::function<void(ProcessGroup&)>& body) {
  ThreadRoom room(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&room, &body, rank, size] {
      std::exception_ptr failure;
      try {
        ThreadGroup group(room, rank, size);
        body(group);
      } catch (...) {
        failure = std::current_exception();
      }
      room.leave(failure);
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (room.first_failure()) std::rethrow_exception(room.first_failure());
}

}  // namespace shine::test
