#pragma once

// Lets a C++ compiler build the GPU kernels and runs them on the CPU: the threads of a block are coroutines that take
// turns at barriers and shuffles. Shows wrong indices, missing barriers that a turn can reveal, and wrong formulas;
// says nothing about speed, memory order between warps, or the GPU's own rounding.
#define SHINE_EMULATED_DEVICE
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __forceinline__
#undef __launch_bounds__
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace shine::emulated {

/// One block at a time.
class Block {
 public:
  static Block& current() {
    static Block block;
    return block;
  }

  void run(dim3 index, dim3 threads, const std::function<void()>& body) {
    index_ = index;
    size_ = threads;
    body_ = body;
    const std::size_t count = static_cast<std::size_t>(threads.x) * threads.y;
    if (count % 32 != 0) stop("threads do not fill warps");
    running_ = count;
    arrived_ = 0;
    warps_.assign(count / 32, {});
    if (threads_.size() < count) threads_.resize(count);
    for (std::size_t i = 0; i < count; ++i) start(i);
    while (running_ > 0) {
      const long before = progress_;
      for (std::size_t i = 0; i < count; ++i) {
        turn_ = i;
        if (!threads_[i].done) swapcontext(&home_, &threads_[i].context);
      }
      if (progress_ == before) stop("threads wait for others that have ended");
    }
  }

  dim3 index() const { return index_; }
  dim3 size() const { return size_; }
  uint3 thread() const {
    const auto turn = static_cast<unsigned>(turn_);
    return {turn % size_.x, turn / size_.x, 0};
  }

  void wait_for_all() {
    ++progress_;
    const long passed = passed_;
    if (++arrived_ == running_) {
      open();
    } else {
      while (passed_ == passed) yield();
    }
  }

  double exchange(double value, std::size_t distance) {
    Warp& warp = warps_[turn_ / 32];
    const std::size_t lane = turn_ % 32;
    warp.values[lane] = value;
    wait_for(warp);
    const double other = warp.values[lane ^ distance];
    wait_for(warp);
    return other;
  }

 private:
  struct Thread {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(32768);
    bool done = false;
  };
  struct Warp {
    double values[32] = {};
    int arrived = 0;
    long passed = 0;
  };

  [[noreturn]] static void stop(const char* reason) {
    std::fprintf(stderr, "emulated block: %s\n", reason);
    std::abort();
  }

  static void entry() {
    Block& block = current();
    block.body_();
    block.threads_[block.turn_].done = true;
    ++block.progress_;
    if (--block.running_ > 0 && block.arrived_ == block.running_) block.open();
    block.yield();
  }

  void start(std::size_t i) {
    Thread& thread = threads_[i];
    thread.done = false;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, &Block::entry, 0);
  }

  void open() {
    arrived_ = 0;
    ++passed_;
  }

  void wait_for(Warp& warp) {
    ++progress_;
    const long passed = warp.passed;
    if (++warp.arrived == 32) {
      warp.arrived = 0;
      ++warp.passed;
    } else {
      while (warp.passed == passed) yield();
    }
  }

  void yield() { swapcontext(&threads_[turn_].context, &home_); }

  dim3 index_, size_;
  std::function<void()> body_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  ucontext_t home_;
  std::size_t turn_ = 0, running_ = 0, arrived_ = 0;
  long passed_ = 0, progress_ = 0;
};

}  // namespace shine::emulated

#define threadIdx ::shine::emulated::Block::current().thread()
#define blockIdx ::shine::emulated::Block::current().index()
#define blockDim ::shine::emulated::Block::current().size()

inline void __syncthreads() {
  shine::emulated::Block::current().wait_for_all();
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int distance) {
  return static_cast<T>(shine::emulated::Block::current().exchange(value, static_cast<std::size_t>(distance)));
}
inline float rsqrtf(float x) {
  return 1.0F / std::sqrt(x);
}
[[noreturn]] inline void __trap() {
  std::abort();
}
using std::isfinite;

namespace shine::cuda {

template <class... Parameters, class... Arguments>
void launch_kernel(void (*kernel)(Parameters...), dim3 grid, dim3 threads, cudaStream_t, Arguments... arguments) {
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      emulated::Block::current().run(dim3(x, y), threads, [&] { kernel(arguments...); });
    }
  }
}

}  // namespace shine::cuda
