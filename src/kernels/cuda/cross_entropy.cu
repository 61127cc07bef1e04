// Cross-entropy of rows of logits, and its gradient in their place.
#include "kernels/cuda/device_code.cuh"

namespace shine::cuda {
namespace {

constexpr int kThreads = 512;
constexpr float kNothing = Max::kNeutral;

/// One block per row: the sum of exponentials in one pass, then the gradient in a second one.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) cross_entropy_kernel(CrossEntropy p) {
  const std::int64_t row = blockIdx.x, target = p.targets[row];
  if (target < 0 || target >= p.width) __trap();
  T* logits = static_cast<T*>(p.logits) + row * p.width;
  const float wanted = to_float(logits[target]);
  float highest = kNothing, sum = 0.0F;
  for (std::int64_t i = threadIdx.x * N; i < p.width; i += kThreads * N) {
    float values[N];
    load(logits + i, values);
    float above = highest;
#pragma unroll
    for (int k = 0; k < N; ++k) above = fmaxf(above, values[k]);
    sum *= expf(highest - above);
#pragma unroll
    for (int k = 0; k < N; ++k) sum += expf(values[k] - above);  // NaN stays NaN
    highest = above;
  }
  const float top = combine_block(highest, Max());  // its barriers come after every thread's read of the target's logit
  const float total = combine_block(sum * expf(highest - top), Sum());
  const float log_total = top + logf(total);
  if (threadIdx.x == 0) p.losses[row] = log_total - wanted;
  if (!p.gradient) return;
  for (std::int64_t i = threadIdx.x * N; i < p.width; i += kThreads * N) {
    float values[N];
    load(logits + i, values);
#pragma unroll
    for (int k = 0; k < N; ++k) values[k] = expf(values[k] - log_total) - (i + k == target ? 1.0F : 0.0F);
    store(logits + i, values);
  }
}

}  // namespace

void cross_entropy(const CrossEntropy& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  dispatch(args.type, args.width, {args.logits}, [&](auto type, auto count) {
    launch_kernel(cross_entropy_kernel<decltype(type), decltype(count)::value>, static_cast<unsigned>(args.rows),
                  kThreads, stream, args);
  });
}

}  // namespace shine::cuda
