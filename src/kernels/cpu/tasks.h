#pragma once

#include <ATen/ATen.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace shine::cpu {

/// at::parallel_for from the one unit that is compiled with OpenMP: in any other, LibTorch's template runs on one
/// thread.
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain,
                  c10::function_ref<void(std::int64_t begin, std::int64_t end)> body);

/// Threads that work at a time on `tasks` tasks: 1 where other threads are busy already.
std::int64_t workers(std::int64_t tasks);

/// Calls body(task, worker) for every task in [0, count). Each of workers(count) threads takes the next task as it
/// finishes one, so long tasks should come first.
void run_tasks(std::int64_t count, c10::function_ref<void(std::int64_t task, std::int64_t worker)> body);

/// A buffer for each worker of run_tasks, on cache lines of its own.
template <class T>
class WorkerScratch {
 public:
  WorkerScratch(std::int64_t workers, std::int64_t values, at::ScalarType type)
      : stride_((values + 63) / 64 * 64), memory_(at::empty({workers * stride_}, type)) {}

  T* of(std::int64_t worker) const { return static_cast<T*>(memory_.mutable_data_ptr()) + worker * stride_; }

 private:
  std::int64_t stride_;
  at::Tensor memory_;
};

}  // namespace shine::cpu
