// SwiGLU, forward and backward.
#include "kernels/cuda/device_code.cuh"

namespace shine::cuda {
namespace {

constexpr int kThreads = 256;

template <class T, int N>
__global__ void __launch_bounds__(kThreads) swiglu_forward_kernel(SwiGluForward p) {
  const std::int64_t i = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (i >= p.count) return;
  float gates[N], ups[N];
  load(static_cast<const T*>(p.gate) + i, gates);
  load(static_cast<const T*>(p.up) + i, ups);
#pragma unroll
  for (int k = 0; k < N; ++k) ups[k] *= rounded<T>(gates[k] / (1.0F + expf(-gates[k])));
  store(static_cast<T*>(p.y) + i, ups);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) swiglu_backward_kernel(SwiGluBackward p) {
  const std::int64_t i = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (i >= p.count) return;
  float gradients[N], gates[N], ups[N];
  load(static_cast<const T*>(p.dy) + i, gradients);
  load(static_cast<const T*>(p.gate) + i, gates);
  load(static_cast<const T*>(p.up) + i, ups);
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const float gate = gates[k], sigmoid = 1.0F / (1.0F + expf(-gate));
    gates[k] = gradients[k] * ups[k] * sigmoid * (1.0F + gate * (1.0F - sigmoid));
    ups[k] = gradients[k] * gate * sigmoid;
  }
  store(static_cast<T*>(p.dgate) + i, gates);
  store(static_cast<T*>(p.dup) + i, ups);
}

}  // namespace

void swiglu_forward(const SwiGluForward& args, cudaStream_t stream) {
  if (args.count == 0) return;
  dispatch(args.type, args.count, {args.gate, args.up, args.y}, [&](auto type, auto count) {
    constexpr int n = decltype(count)::value;
    launch_kernel(swiglu_forward_kernel<decltype(type), n>, blocks_for(args.count, kThreads * n), kThreads, stream,
                  args);
  });
}

void swiglu_backward(const SwiGluBackward& args, cudaStream_t stream) {
  if (args.count == 0) return;
  dispatch(args.type, args.count, {args.dy, args.gate, args.up, args.dgate, args.dup}, [&](auto type, auto count) {
    constexpr int n = decltype(count)::value;
    launch_kernel(swiglu_backward_kernel<decltype(type), n>, blocks_for(args.count, kThreads * n), kThreads, stream,
                  args);
  });
}

}  // namespace shine::cuda
