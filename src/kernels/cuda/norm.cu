// RMSNorm, the rotation, and both in one pass for queries and keys.
#include "kernels/cuda/device_code.cuh"

namespace shine::cuda {
namespace {

constexpr int kThreads = 256;

/// The threads that share one row: `lanes` neighbours of a warp, or the block.
template <bool kBlock>
struct Team {
  std::int64_t row;
  int lane, lanes;
  bool has_row;  ///< without one a thread still takes part in its warp's sums

  __device__ Team(std::int64_t rows, int lanes_of_warp) {
    lanes = kBlock ? static_cast<int>(blockDim.x) : lanes_of_warp;
    lane = static_cast<int>(threadIdx.x) % lanes;
    row = static_cast<std::int64_t>(blockIdx.x) * (blockDim.x / lanes) + threadIdx.x / lanes;
    has_row = row < rows;
  }
  __device__ float sum(float value) const {
    if constexpr (kBlock) {
      return combine_block(value, Sum());
    } else {
      return combine_lanes(value, lanes, Sum());
    }
  }
};

template <class T, int N, bool kBlock>
__global__ void __launch_bounds__(kThreads) rms_norm_forward_kernel(RmsNormForward p, int lanes) {
  const Team<kBlock> team(p.rows, lanes);
  const std::int64_t first = team.row * p.width, step = static_cast<std::int64_t>(team.lanes) * N;
  const T* x = static_cast<const T*>(p.x);
  float squares = 0.0F;
  for (std::int64_t i = team.lane * N; team.has_row && i < p.width; i += step) {
    float values[N];
    load(x + first + i, values);
#pragma unroll
    for (int k = 0; k < N; ++k) squares += values[k] * values[k];
  }
  const float inverse = rsqrtf(team.sum(squares) / static_cast<float>(p.width) + p.eps);
  if (!team.has_row) return;
  if (team.lane == 0) p.inverse[team.row] = inverse;
  for (std::int64_t i = team.lane * N; i < p.width; i += step) {
    float values[N], weights[N];
    load(x + first + i, values);
    load(static_cast<const T*>(p.weight) + i, weights);
#pragma unroll
    for (int k = 0; k < N; ++k) values[k] = rounded<T>(values[k] * inverse) * weights[k];
    store(static_cast<T*>(p.y) + first + i, values);
  }
}

template <class T, int N, bool kBlock>
__global__ void __launch_bounds__(kThreads) rms_norm_backward_kernel(RmsNormBackward p, int lanes) {
  const Team<kBlock> team(p.rows, lanes);
  const std::int64_t first = team.row * p.width, step = static_cast<std::int64_t>(team.lanes) * N;
  const T *dy = static_cast<const T*>(p.dy), *x = static_cast<const T*>(p.x), *weight = static_cast<const T*>(p.weight);
  float along = 0.0F;
  for (std::int64_t i = team.lane * N; team.has_row && i < p.width; i += step) {
    float gradients[N], values[N], weights[N];
    load(dy + first + i, gradients);
    load(x + first + i, values);
    load(weight + i, weights);
#pragma unroll
    for (int k = 0; k < N; ++k) along += gradients[k] * weights[k] * values[k];
  }
  along = team.sum(along);
  if (!team.has_row) return;
  const float inverse = p.inverse[team.row];
  const float share = along * inverse * inverse / static_cast<float>(p.width);
  for (std::int64_t i = team.lane * N; i < p.width; i += step) {
    float gradients[N], values[N], weights[N];
    load(dy + first + i, gradients);
    load(x + first + i, values);
    load(weight + i, weights);
#pragma unroll
    for (int k = 0; k < N; ++k) gradients[k] = (gradients[k] * weights[k] - values[k] * share) * inverse;
    if (p.residual_gradient != nullptr) {
      load(static_cast<const T*>(p.residual_gradient) + first + i, values);
#pragma unroll
      for (int k = 0; k < N; ++k) gradients[k] += values[k];
    }
    store(static_cast<T*>(p.dx) + first + i, gradients);
  }
}

constexpr int kColumns = 32, kRowLanes = 8;

/// Block (column block, part): the part's rows of 32 columns.
template <class T>
__global__ void weight_gradient_parts_kernel(RmsNormWeightGradient p) {
  __shared__ float sums[kRowLanes][kColumns];
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  const std::int64_t each = (p.rows + p.parts - 1) / p.parts, begin = blockIdx.y * each;
  const std::int64_t end = begin + each < p.rows ? begin + each : p.rows;
  float sum = 0.0F;
  for (std::int64_t row = begin + threadIdx.y; column < p.width && row < end; row += kRowLanes) {
    const std::int64_t at = row * p.width + column;
    const float normalised = rounded<T>(to_float(static_cast<const T*>(p.x)[at]) * p.inverse[row]);
    sum += to_float(static_cast<const T*>(p.dy)[at]) * normalised;
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= p.width) return;
  for (int lane = 1; lane < kRowLanes; ++lane) sum += sums[lane][threadIdx.x];
  p.partial[blockIdx.y * p.width + column] = sum;
}

template <class T>
__global__ void weight_gradient_sum_kernel(RmsNormWeightGradient p) {
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= p.width) return;
  float sum = 0.0F;
  for (std::int64_t part = 0; part < p.parts; ++part) sum += p.partial[part * p.width + column];
  static_cast<T*>(p.dweight)[column] = from_float<T>(sum);
}

/// A head's vector as pairs (i, i + half); the table's halves are equal, so the first one is read.
template <class T, int N>
struct Pairs {
  float low[N], high[N];

  __device__ void read(const T* vector, std::int64_t half, std::int64_t i) {
    load(vector + i, low);
    load(vector + half + i, high);
  }
  __device__ void write(T* vector, std::int64_t half, std::int64_t i) const {
    store(vector + i, low);
    store(vector + half + i, high);
  }
  /// @param sign  1: by the angle, -1: against it
  __device__ void turn(const T* cos, const T* sin, std::int64_t i, float sign) {
    float cosine[N], sine[N];
    load(cos + i, cosine);
    load(sin + i, sine);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float a = low[k], b = high[k], s = sign * sine[k];
      low[k] = a * cosine[k] - b * s;
      high[k] = b * cosine[k] + a * s;
    }
  }
};

template <class T, int N>
__global__ void __launch_bounds__(kThreads) rope_kernel(Rope p) {
  const std::int64_t half = p.d / 2, accesses = half / N;
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t vector = index / accesses, i = index % accesses * N, token = vector / p.heads;
  if (token >= p.tokens) return;
  Pairs<T, N> pairs;
  pairs.read(static_cast<const T*>(p.x) + vector * p.d, half, i);
  pairs.turn(static_cast<const T*>(p.cos) + token * p.d, static_cast<const T*>(p.sin) + token * p.d, i,
             p.inverse ? -1.0F : 1.0F);
  pairs.write(static_cast<T*>(p.y) + vector * p.d, half, i);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) norm_rope_forward_kernel(NormRopeForward p, int lanes) {
  const Team<false> team(p.tokens * p.heads, lanes);
  const std::int64_t half = p.d / 2, token = team.row / p.heads, step = static_cast<std::int64_t>(team.lanes) * N;
  const T *x = static_cast<const T*>(p.x) + team.row * p.d, *weight = static_cast<const T*>(p.weight);
  Pairs<T, N> pairs;
  float squares = 0.0F;
  for (std::int64_t i = team.lane * N; team.has_row && i < half; i += step) {
    pairs.read(x, half, i);
#pragma unroll
    for (int k = 0; k < N; ++k) squares += pairs.low[k] * pairs.low[k] + pairs.high[k] * pairs.high[k];
  }
  const float inverse = rsqrtf(team.sum(squares) / static_cast<float>(p.d) + p.eps);
  if (!team.has_row) return;
  if (team.lane == 0) p.inverse[team.row] = inverse;
  for (std::int64_t i = team.lane * N; i < half; i += step) {
    Pairs<T, N> weights;
    weights.read(weight, half, i);
    pairs.read(x, half, i);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      pairs.low[k] = rounded<T>(rounded<T>(pairs.low[k] * inverse) * weights.low[k]);
      pairs.high[k] = rounded<T>(rounded<T>(pairs.high[k] * inverse) * weights.high[k]);
    }
    pairs.turn(static_cast<const T*>(p.cos) + token * p.d, static_cast<const T*>(p.sin) + token * p.d, i, 1.0F);
    pairs.write(static_cast<T*>(p.y) + team.row * p.d, half, i);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) norm_rope_backward_kernel(NormRopeBackward p, int lanes) {
  const Team<false> team(p.tokens * p.heads, lanes);
  const std::int64_t half = p.d / 2, token = team.row / p.heads, step = static_cast<std::int64_t>(team.lanes) * N;
  const T *x = static_cast<const T*>(p.x) + team.row * p.d, *dy = static_cast<const T*>(p.dy) + team.row * p.d,
          *weight = static_cast<const T*>(p.weight);
  const T *cos = static_cast<const T*>(p.cos) + token * p.d, *sin = static_cast<const T*>(p.sin) + token * p.d;
  Pairs<T, N> gradients, values, weights;
  const auto read = [&](std::int64_t i) {  // values, and gradients by the weighted norm
    values.read(x, half, i);
    weights.read(weight, half, i);
    gradients.read(dy, half, i);
    gradients.turn(cos, sin, i, -1.0F);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      gradients.low[k] *= weights.low[k];
      gradients.high[k] *= weights.high[k];
    }
  };
  float along = 0.0F;
  for (std::int64_t i = team.lane * N; team.has_row && i < half; i += step) {
    read(i);
#pragma unroll
    for (int k = 0; k < N; ++k) along += gradients.low[k] * values.low[k] + gradients.high[k] * values.high[k];
  }
  along = team.sum(along);
  if (!team.has_row) return;
  const float inverse = p.inverse[team.row];
  const float share = along * inverse * inverse / static_cast<float>(p.d);
  for (std::int64_t i = team.lane * N; i < half; i += step) {
    read(i);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      gradients.low[k] = (gradients.low[k] - values.low[k] * share) * inverse;
      gradients.high[k] = (gradients.high[k] - values.high[k] * share) * inverse;
    }
    gradients.write(static_cast<T*>(p.dx) + team.row * p.d, half, i);
  }
}

/// Rows of at most 4 accesses a lane go to parts of a warp, longer ones to a block.
template <class Launch>
void launch_rows(std::int64_t rows, std::int64_t accesses, Launch launch) {
  if (accesses > 4 * 32) {
    const auto threads = static_cast<unsigned>(accesses < kThreads ? (accesses + 31) / 32 * 32 : kThreads);
    launch(std::true_type(), static_cast<unsigned>(rows), threads, 0);
  } else {
    const int lanes = lanes_for(accesses);
    launch(std::false_type(), blocks_for(rows, kThreads / lanes), static_cast<unsigned>(kThreads), lanes);
  }
}

}  // namespace

void rms_norm_forward(const RmsNormForward& args, cudaStream_t stream) {
  if (args.rows == 0 || args.width == 0) return;
  dispatch(args.type, args.width, {args.x, args.weight, args.y}, [&](auto type, auto count) {
    launch_rows(args.rows, args.width / count.value, [&](auto block, unsigned grid, unsigned threads, int lanes) {
      launch_kernel(rms_norm_forward_kernel<decltype(type), decltype(count)::value, decltype(block)::value>, grid,
                    threads, stream, args, lanes);
    });
  });
}

void rms_norm_backward(const RmsNormBackward& args, cudaStream_t stream) {
  if (args.rows == 0 || args.width == 0) return;
  dispatch(
      args.type, args.width, {args.dy, args.x, args.weight, args.residual_gradient, args.dx},
      [&](auto type, auto count) {
        launch_rows(args.rows, args.width / count.value, [&](auto block, unsigned grid, unsigned threads, int lanes) {
          launch_kernel(rms_norm_backward_kernel<decltype(type), decltype(count)::value, decltype(block)::value>, grid,
                        threads, stream, args, lanes);
        });
      });
}

void rms_norm_weight_gradient(const RmsNormWeightGradient& args, cudaStream_t stream) {
  if (args.width == 0) return;
  const auto launch = [&](auto type) {
    using T = decltype(type);
    const dim3 grid(blocks_for(args.width, kColumns), static_cast<unsigned>(args.parts));
    launch_kernel(weight_gradient_parts_kernel<T>, grid, dim3(kColumns, kRowLanes), stream, args);
    launch_kernel(weight_gradient_sum_kernel<T>, blocks_for(args.width, kThreads), kThreads, stream, args);
  };
  if (args.type == ValueType::float32) {
    launch(float());
  } else {
    launch(bfloat16());
  }
}

void apply_rope(const Rope& args, cudaStream_t stream) {
  if (args.tokens * args.heads * args.d == 0) return;
  dispatch(args.type, args.d / 2, {args.x, args.cos, args.sin, args.y}, [&](auto type, auto count) {
    const std::int64_t accesses = args.tokens * args.heads * (args.d / 2 / count.value);
    launch_kernel(rope_kernel<decltype(type), decltype(count)::value>, blocks_for(accesses, kThreads), kThreads,
                  stream, args);
  });
}

void norm_rope_forward(const NormRopeForward& args, cudaStream_t stream) {
  if (args.tokens * args.heads * args.d == 0) return;
  dispatch(args.type, args.d / 2, {args.x, args.weight, args.cos, args.sin, args.y}, [&](auto type, auto count) {
    const int lanes = lanes_for(args.d / 2 / count.value);
    launch_kernel(norm_rope_forward_kernel<decltype(type), decltype(count)::value>,
                  blocks_for(args.tokens * args.heads, kThreads / lanes), kThreads, stream, args, lanes);
  });
}

void norm_rope_backward(const NormRopeBackward& args, cudaStream_t stream) {
  if (args.tokens * args.heads * args.d == 0) return;
  dispatch(args.type, args.d / 2, {args.dy, args.x, args.weight, args.cos, args.sin, args.dx},
           [&](auto type, auto count) {
             const int lanes = lanes_for(args.d / 2 / count.value);
             launch_kernel(norm_rope_backward_kernel<decltype(type), decltype(count)::value>,
                           blocks_for(args.tokens * args.heads, kThreads / lanes), kThreads, stream, args, lanes);
           });
}

}  // namespace shine::cuda
