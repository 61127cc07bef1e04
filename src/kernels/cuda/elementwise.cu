// SwiGLU, and the generated vector's values to their places in the LoRA tree.
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

template <class T>
__global__ void __launch_bounds__(kThreads) lora_slices_forward_kernel(LoraSlicesForward p) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= p.table.tensor_values()) return;
  const TensorPlace place = tensor_place(p.table, index);
  const float value = to_float(static_cast<const T*>(p.vector)[place.source]);
  static_cast<T*>(p.tensors)[index] = from_float<T>(value * p.table.slices[place.slice].factor);
}

template <class T>
__global__ void __launch_bounds__(kThreads) lora_slices_backward_kernel(LoraSlicesBackward p) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= p.table.vector_values()) return;
  const VectorPlace place = vector_place(p.table, index);
  const T* gradient = place.slice < 0 ? nullptr : static_cast<const T*>(p.gradients[place.tensor]);
  const float value = gradient == nullptr ? 0.0F : to_float(gradient[place.place]) * p.table.slices[place.slice].factor;
  static_cast<T*>(p.vector)[index] = from_float<T>(value);
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

void lora_slices_forward(const LoraSlicesForward& args, cudaStream_t stream) {
  const unsigned blocks = blocks_for(args.table.tensor_values(), kThreads);
  if (blocks == 0) return;
  if (args.type == ValueType::float32) {
    launch_kernel(lora_slices_forward_kernel<float>, blocks, kThreads, stream, args);
  } else {
    launch_kernel(lora_slices_forward_kernel<bfloat16>, blocks, kThreads, stream, args);
  }
}

void lora_slices_backward(const LoraSlicesBackward& args, cudaStream_t stream) {
  const unsigned blocks = blocks_for(args.table.vector_values(), kThreads);
  if (blocks == 0) return;
  if (args.type == ValueType::float32) {
    launch_kernel(lora_slices_backward_kernel<float>, blocks, kThreads, stream, args);
  } else {
    launch_kernel(lora_slices_backward_kernel<bfloat16>, blocks, kThreads, stream, args);
  }
}

}  // namespace shine::cuda
