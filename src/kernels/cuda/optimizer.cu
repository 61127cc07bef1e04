// The gradient's norm, the clip factors and AdamW over flat memory.
#include "kernels/cuda/device_code.cuh"

namespace shine::cuda {
namespace {

constexpr int kThreads = 256;

__device__ double sum_over_block(double value) {
  __shared__ double parts[kThreads / 32];
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(kAllLanes, value, offset);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  value = 0.0;
  for (int warp = 0; warp < kThreads / 32; ++warp) value += parts[warp];
  return value;
}

/// `count` values are read N at a time while all pointers are aligned to N; the rest one by one.
template <int N, class... Pointers>
__device__ int packed_count(int count, Pointers... pointers) {
  const bool aligned = (... && (reinterpret_cast<std::uintptr_t>(pointers) % (N * sizeof(float)) == 0));
  return aligned ? count / N * N : 0;
}

template <int N>
__global__ void __launch_bounds__(kThreads) square_chunks_kernel(SquareSums p) {
  const FlatChunk chunk = p.chunks[blockIdx.x];
  const float* gradients = p.gradients + chunk.begin;
  const int packed = packed_count<N>(chunk.numel, gradients);
  float sum = 0.0F;
  for (int i = static_cast<int>(threadIdx.x) * N; i < packed; i += kThreads * N) {
    float values[N];
    load(gradients + i, values);
#pragma unroll
    for (int k = 0; k < N; ++k) sum += values[k] * values[k];
  }
  for (int i = packed + static_cast<int>(threadIdx.x); i < chunk.numel; i += kThreads)
    sum += gradients[i] * gradients[i];
  const double total = sum_over_block(sum);
  if (threadIdx.x == 0) p.partial[blockIdx.x] = total;
}

__global__ void __launch_bounds__(kThreads) square_parts_kernel(SquareSums p) {
  const FlatPart part = p.parts[blockIdx.x];
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < part.chunks; i += kThreads) sum += p.partial[part.first_chunk + i];
  sum = sum_over_block(sum);
  if (threadIdx.x == 0) p.squares[part.place] = sum * p.scale * p.scale;
}

/// One block for all groups.
__global__ void __launch_bounds__(kThreads) clip_factors_kernel(ClipFactors p) {
  const auto squares_of = [&](std::int64_t group) {  // of all groups for -1
    double sum = 0.0;
    for (std::int64_t i = threadIdx.x; i < p.place_count; i += kThreads) {
      if (group < 0 || p.place_group[i] == group) sum += p.squares[i];
    }
    return sum_over_block(sum);
  };
  const double all = squares_of(-1);
  if (threadIdx.x == 0) *p.finite = isfinite(all) ? 1 : 0;
  for (std::int64_t group = 0; group < p.group_count; ++group) {
    double factor = p.scale;
    if (p.form != ClipFactors::Form::none) {
      const double norm = sqrt(p.form == ClipFactors::Form::global ? all : squares_of(group));
      const double clip = p.limit / (norm + 1e-6);
      if (clip < 1.0) factor *= clip;
    }
    if (threadIdx.x == 0) p.factors[group] = static_cast<float>(factor);
  }
}

struct Update {
  float factor, decay, step_size;  ///< decay = learning rate * weight decay
};

/// Small shares are taken off and added as they are: 1 - share would round them away.
__device__ __forceinline__ void update(const AdamW& p, const Update& u, float gradient, float& value, float& first,
                                       float& second) {
  gradient *= u.factor;
  first = p.beta1 * first + p.rest1 * gradient;
  second = p.beta2 * second + p.rest2 * gradient * gradient;
  value -= u.decay * value;
  value -= u.step_size * first / (sqrtf(second) / p.root_correction2 + p.epsilon);
}

template <int N>
__global__ void __launch_bounds__(kThreads) adamw_kernel(AdamW p) {
  if (*p.finite == 0) return;
  const FlatChunk chunk = p.chunks[blockIdx.x];
  const Update u{p.factors[chunk.group], p.learning_rate * p.weight_decay[chunk.group],
                 p.learning_rate / p.correction1};
  float *values = p.values + chunk.begin, *first = p.first + chunk.offset, *second = p.second + chunk.offset;
  const float* gradients = p.gradients + chunk.begin;
  const int packed = packed_count<N>(chunk.numel, values, gradients, first, second);
  for (int i = static_cast<int>(threadIdx.x) * N; i < packed; i += kThreads * N) {
    float g[N], w[N], m[N], v[N];
    load(gradients + i, g);
    load(values + i, w);
    load(first + i, m);
    load(second + i, v);
#pragma unroll
    for (int k = 0; k < N; ++k) update(p, u, g[k], w[k], m[k], v[k]);
    store(values + i, w);
    store(first + i, m);
    store(second + i, v);
  }
  for (int i = packed + static_cast<int>(threadIdx.x); i < chunk.numel; i += kThreads) {
    update(p, u, gradients[i], values[i], first[i], second[i]);
  }
}

}  // namespace

void square_sums(const SquareSums& args, cudaStream_t stream) {
  if (args.chunk_count == 0) return;
  launch_kernel(square_chunks_kernel<4>, static_cast<unsigned>(args.chunk_count), kThreads, stream, args);
  launch_kernel(square_parts_kernel, static_cast<unsigned>(args.part_count), kThreads, stream, args);
}

void clip_factors(const ClipFactors& args, cudaStream_t stream) {
  launch_kernel(clip_factors_kernel, 1, kThreads, stream, args);
}

void adamw(const AdamW& args, cudaStream_t stream) {
  if (args.chunk_count == 0) return;
  launch_kernel(adamw_kernel<4>, static_cast<unsigned>(args.chunk_count), kThreads, stream, args);
}

}  // namespace shine::cuda
