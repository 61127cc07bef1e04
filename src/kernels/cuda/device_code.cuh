#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "kernels/cuda/kernels.h"

namespace shine::cuda {

using bfloat16 = __nv_bfloat16;

__device__ __forceinline__ float to_float(float value) {
  return value;
}
__device__ __forceinline__ float to_float(bfloat16 value) {
  return __bfloat162float(value);
}

template <class T>
__device__ __forceinline__ T from_float(float value) {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
    return __float2bfloat16(value);
  }
}

/// The value after a store and a load.
template <class T>
__device__ __forceinline__ float rounded(float value) {
  return to_float(from_float<T>(value));
}

/// The machine's word of so many bytes.
template <int kBytes>
struct Word;
template <>
struct Word<2> {
  using Type = unsigned short;
};
template <>
struct Word<4> {
  using Type = unsigned int;
};
template <>
struct Word<8> {
  using Type = uint2;
};
template <>
struct Word<16> {
  using Type = uint4;
};

/// N values in one access; `from` is aligned to N values.
template <class T, int N>
__device__ __forceinline__ void load(const T* from, float (&to)[N]) {
  using Access = typename Word<N * sizeof(T)>::Type;
  const Access word = *reinterpret_cast<const Access*>(from);
  T values[N];
  memcpy(static_cast<void*>(values), &word, sizeof(word));
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = to_float(values[i]);
}

template <class T, int N>
__device__ __forceinline__ void store(T* to, const float (&from)[N]) {
  using Access = typename Word<N * sizeof(T)>::Type;
  T values[N];
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = from_float<T>(from[i]);
  Access word;
  memcpy(&word, values, sizeof(word));
  *reinterpret_cast<Access*>(to) = word;
}

constexpr unsigned kAllLanes = 0xffffffffU;

struct Sum {
  static constexpr float kNeutral = 0.0F;
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};
struct Max {
  static constexpr float kNeutral = -3.402823466e+38F;
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

/// Combined over `lanes` neighbours of a warp (a power of two); all of them get the result. Every lane of the warp must
/// call.
template <class Combine>
__device__ __forceinline__ float combine_lanes(float value, int lanes, Combine combine) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
}

/// Combined over the block, whose threads fill whole warps; all get the result, made in the same order every time.
template <class Combine>
__device__ __forceinline__ float combine_block(float value, Combine combine) {
  __shared__ float parts[32];
  value = combine_lanes(value, 32, combine);
  __syncthreads();  // what an earlier call put there has been read
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  value = threadIdx.x % 32 < blockDim.x / 32 ? parts[threadIdx.x % 32] : Combine::kNeutral;
  return combine_lanes(value, 32, combine);
}

/// Values of one 16-byte access if all rows of `width` values begin at such a boundary, else 1.
template <class T>
bool packs(std::int64_t width, std::initializer_list<const void*> pointers) {
  constexpr std::int64_t pack = 16 / sizeof(T);
  bool fits = width % pack == 0;
  for (const void* pointer : pointers) fits = fits && reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
  return fits;
}

/// Calls f(type, count) with a value of the type and the number of values an access holds as a constant.
template <class Function>
void dispatch(ValueType type, std::int64_t width, std::initializer_list<const void*> pointers, Function f) {
  if (type == ValueType::float32) {
    if (packs<float>(width, pointers)) {
      f(float(), std::integral_constant<int, 4>());
    } else {
      f(float(), std::integral_constant<int, 1>());
    }
  } else {
    if (packs<bfloat16>(width, pointers)) {
      f(bfloat16(), std::integral_constant<int, 8>());
    } else {
      f(bfloat16(), std::integral_constant<int, 1>());
    }
  }
}

#ifndef SHINE_EMULATED_DEVICE  // tests/kernels/cuda/emulated_device.h has its own
template <class... Parameters, class... Arguments>
void launch_kernel(void (*kernel)(Parameters...), dim3 grid, dim3 threads, cudaStream_t stream,
                   Arguments... arguments) {
  kernel<<<grid, threads, 0, stream>>>(arguments...);
}
#endif

/// The least power of two that is not below `value`, at most 32.
inline int lanes_for(std::int64_t value) {
  int lanes = 1;
  while (lanes < 32 && lanes < value) lanes *= 2;
  return lanes;
}

inline unsigned blocks_for(std::int64_t count, std::int64_t each) {
  return static_cast<unsigned>((count + each - 1) / each);
}

}  // namespace shine::cuda
