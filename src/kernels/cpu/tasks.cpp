#include "kernels/cpu/tasks.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <atomic>

#ifndef _OPENMP
#error "at::parallel_for runs on one thread in a unit that is compiled without OpenMP"
#endif

namespace shine::cpu {

void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain,
                  c10::function_ref<void(std::int64_t begin, std::int64_t end)> body) {
  at::parallel_for(begin, end, grain, [&](std::int64_t first, std::int64_t last) {
    body(first, last);
    // Block products leave a processor's matrix unit set up for their last kernel; others set it up anew.
    at::native::cpublas::brgemm_release();
  });
}

std::int64_t workers(std::int64_t tasks) {
  const std::int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  return std::min(threads, tasks);
}

void run_tasks(std::int64_t count, c10::function_ref<void(std::int64_t task, std::int64_t worker)> body) {
  std::atomic<std::int64_t> next{0};
  parallel_for(0, workers(count), 1, [&](std::int64_t worker, std::int64_t /*end*/) {
    for (std::int64_t task = next.fetch_add(1); task < count; task = next.fetch_add(1)) body(task, worker);
  });
}

}  // namespace shine::cpu
