#include "kernels/cpu/row_kernels.h"

#include "kernels/cpu/vector_math.h"

namespace shine::cpu {
namespace {

template <class W>
W inverse_root(W mean_square, double eps) {
  return W(1) / static_cast<W>(__builtin_sqrt(static_cast<double>(mean_square) + eps));
}

template <class T>
Wide<T> sum_of_squares(std::int64_t width, const T* x) {
  Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < width; ++i) {
    const Wide<T> value = to_wide(x[i]);
    sum += value * value;
  }
  return sum;
}

/// silu(x) and its derivative.
template <class W>
W silu(W x) {
  return x * sigmoid(x);
}

template <class W>
W silu_slope(W x) {
  const W s = sigmoid(x);
  return s * (W(1) + x * (W(1) - s));
}

}  // namespace

template <class T>
void rms_norm_rows(std::int64_t m, std::int64_t width, const T* x, const Wide<T>* weight, double eps, T* out,
                   Wide<T>* inverse) {
  for (std::int64_t row = 0; row < m; ++row, x += width, out += width) {
    const Wide<T> factor = inverse_root(sum_of_squares(width, x) / static_cast<Wide<T>>(width), eps);
    inverse[row] = factor;
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) out[i] = narrow_to<T>(to_wide(x[i]) * factor * weight[i]);
  }
}

template <class T>
void recompute_rms_norm(std::int64_t m, std::int64_t width, const T* x, const Wide<T>* weight, const Wide<T>* inverse,
                        T* out) {
  for (std::int64_t row = 0; row < m; ++row, x += width, out += width) {
    const Wide<T> factor = inverse[row];
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) out[i] = narrow_to<T>(to_wide(x[i]) * factor * weight[i]);
  }
}

template <class T>
void rms_norm_gradient(std::int64_t m, std::int64_t width, const T* x, const Wide<T>* weight, const Wide<T>* inverse,
                       const Wide<T>* dy, const T* residual, T* dx) {
  using W = Wide<T>;
  for (std::int64_t row = 0; row < m; ++row, x += width, dy += width, dx += width) {
    const W factor = inverse[row];
    W along = 0;  // mean over the row of dy * weight * normalised x
#pragma omp simd reduction(+ : along)
    for (std::int64_t i = 0; i < width; ++i) along += dy[i] * weight[i] * to_wide(x[i]);
    along *= factor * factor / static_cast<W>(width);
    if (residual != nullptr) {
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) {
        dx[i] = narrow_to<T>(to_wide(residual[i]) + factor * (dy[i] * weight[i] - to_wide(x[i]) * along));
      }
      residual += width;
    } else {
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) {
        dx[i] = narrow_to<T>(factor * (dy[i] * weight[i] - to_wide(x[i]) * along));
      }
    }
  }
}

template <class T>
void head_norm_rope(const HeadSizes& sizes, const T* raw, const Wide<T>* weight, double eps, const Wide<T>* cos,
                    const Wide<T>* sin, T* out) {
  using W = Wide<T>;
  const std::int64_t d = sizes.d, half = d / 2;
  for (std::int64_t row = 0; row < sizes.m; ++row) {
    const W* row_cos = cos + row * half;
    const W* row_sin = sin + row * half;
    for (std::int64_t head = 0; head < sizes.heads; ++head) {
      const T* from = raw + (row * sizes.heads + head) * d;
      T* to = out + (row * sizes.heads + head) * d;
      if (weight == nullptr) {
#pragma omp simd
        for (std::int64_t i = 0; i < half; ++i) {
          const W first = to_wide(from[i]), second = to_wide(from[i + half]);
          to[i] = narrow_to<T>(first * row_cos[i] - second * row_sin[i]);
          to[i + half] = narrow_to<T>(second * row_cos[i] + first * row_sin[i]);
        }
        continue;
      }
      const W factor = inverse_root(sum_of_squares(d, from) / static_cast<W>(d), eps);
#pragma omp simd
      for (std::int64_t i = 0; i < half; ++i) {
        const W first = to_wide(from[i]) * factor * weight[i];
        const W second = to_wide(from[i + half]) * factor * weight[i + half];
        to[i] = narrow_to<T>(first * row_cos[i] - second * row_sin[i]);
        to[i + half] = narrow_to<T>(second * row_cos[i] + first * row_sin[i]);
      }
    }
  }
}

template <class T>
void head_norm_rope_gradient(const HeadSizes& sizes, const T* raw, const Wide<T>* weight, double eps,
                             const Wide<T>* cos, const Wide<T>* sin, const T* dout, T* dprojected) {
  using W = Wide<T>;
  const std::int64_t d = sizes.d, half = d / 2;
  for (std::int64_t row = 0; row < sizes.m; ++row) {
    const W* row_cos = cos + row * half;
    const W* row_sin = sin + row * half;
    for (std::int64_t head = 0; head < sizes.heads; ++head) {
      const T* from = raw + (row * sizes.heads + head) * d;
      const T* given = dout + (row * sizes.heads + head) * d;
      T* to = dprojected + row * sizes.ld_gradient + head * d;
      if (weight == nullptr) {
#pragma omp simd
        for (std::int64_t i = 0; i < half; ++i) {
          const W first = to_wide(given[i]), second = to_wide(given[i + half]);
          to[i] = narrow_to<T>(first * row_cos[i] + second * row_sin[i]);
          to[i + half] = narrow_to<T>(second * row_cos[i] - first * row_sin[i]);
        }
        continue;
      }
      const W factor = inverse_root(sum_of_squares(d, from) / static_cast<W>(d), eps);
      W along = 0;
#pragma omp simd reduction(+ : along)
      for (std::int64_t i = 0; i < half; ++i) {
        const W first = to_wide(given[i]), second = to_wide(given[i + half]);
        along += (first * row_cos[i] + second * row_sin[i]) * weight[i] * to_wide(from[i]) +
                 (second * row_cos[i] - first * row_sin[i]) * weight[i + half] * to_wide(from[i + half]);
      }
      along *= factor * factor / static_cast<W>(d);
#pragma omp simd
      for (std::int64_t i = 0; i < half; ++i) {
        const W first = to_wide(given[i]), second = to_wide(given[i + half]);
        const W rotated_first = (first * row_cos[i] + second * row_sin[i]) * weight[i];
        const W rotated_second = (second * row_cos[i] - first * row_sin[i]) * weight[i + half];
        to[i] = narrow_to<T>(factor * (rotated_first - to_wide(from[i]) * along));
        to[i + half] = narrow_to<T>(factor * (rotated_second - to_wide(from[i + half]) * along));
      }
    }
  }
}

template <class T>
void recompute_swiglu(std::int64_t m, std::int64_t width, const T* saved, T* act) {
  for (std::int64_t row = 0; row < m; ++row, saved += 2 * width, act += width) {
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      act[i] = narrow_to<T>(silu(to_wide(saved[i])) * to_wide(saved[i + width]));
    }
  }
}

template <class T>
void swiglu_rows(std::int64_t m, std::int64_t width, const Wide<T>* gate_up, T* saved, T* act) {
  round_rows<T>(m, 2 * width, gate_up, 2 * width, saved, 2 * width);
  recompute_swiglu(m, width, saved, act);
}

template <class T>
void swiglu_gradient(std::int64_t m, std::int64_t width, const T* saved, const Wide<T>* dact, T* dgate_up) {
  using W = Wide<T>;
  for (std::int64_t row = 0; row < m; ++row, saved += 2 * width, dact += width, dgate_up += 2 * width) {
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      const W gate = to_wide(saved[i]), up = to_wide(saved[i + width]);
      dgate_up[i] = narrow_to<T>(dact[i] * up * silu_slope(gate));
      dgate_up[i + width] = narrow_to<T>(dact[i] * silu(gate));
    }
  }
}

template <class T>
void round_rows(std::int64_t m, std::int64_t n, const Wide<T>* from, std::int64_t ld_from, T* to, std::int64_t ld_to) {
  for (std::int64_t row = 0; row < m; ++row, from += ld_from, to += ld_to) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) to[i] = narrow_to<T>(from[i]);
  }
}

template <class T>
void copy_rows(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to, std::int64_t ld_to) {
  for (std::int64_t row = 0; row < m; ++row, from += ld_from, to += ld_to) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

template <class T>
void add_rows(std::int64_t count, const T* x, const Wide<T>* y, T* out) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i] = narrow_to<T>(to_wide(x[i]) + y[i]);
}

template <class T>
void add_bias(std::int64_t m, std::int64_t n, const Wide<T>* bias, Wide<T>* y, std::int64_t ld_y) {
  for (std::int64_t row = 0; row < m; ++row, y += ld_y) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) y[i] += bias[i];
  }
}

template <class T>
void sum_rows(std::int64_t m, std::int64_t n, const T* x, std::int64_t ldx, Wide<T>* sums) {
  for (std::int64_t row = 0; row < m; ++row, x += ldx) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) sums[i] += to_wide(x[i]);
  }
}

void pair_rows(std::int64_t m, std::int64_t n, const Bf16* from, std::int64_t ld_from, Bf16* to) {
  for (std::int64_t row = 0; row < m; row += 2, to += 2 * n) {
    const Bf16* first = from + row * ld_from;
    const Bf16* second = row + 1 < m ? first + ld_from : first;
    const std::uint32_t mask = row + 1 < m ? 0xFFFFFFFFU : 0xFFFFU;
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
      const std::uint32_t pair = (first[i].bits | static_cast<std::uint32_t>(second[i].bits) << 16U) & mask;
      __builtin_memcpy(to + 2 * i, &pair, sizeof pair);
    }
  }
}

#define SHINE_ROW_KERNELS(T)                                                                                          \
  template void rms_norm_rows<T>(std::int64_t, std::int64_t, const T*, const Wide<T>*, double, T*, Wide<T>*);         \
  template void recompute_rms_norm<T>(std::int64_t, std::int64_t, const T*, const Wide<T>*, const Wide<T>*, T*);      \
  template void rms_norm_gradient<T>(std::int64_t, std::int64_t, const T*, const Wide<T>*, const Wide<T>*,            \
                                     const Wide<T>*, const T*, T*);                                                   \
  template void head_norm_rope<T>(const HeadSizes&, const T*, const Wide<T>*, double, const Wide<T>*, const Wide<T>*, \
                                  T*);                                                                                \
  template void head_norm_rope_gradient<T>(const HeadSizes&, const T*, const Wide<T>*, double, const Wide<T>*,        \
                                           const Wide<T>*, const T*, T*);                                             \
  template void swiglu_rows<T>(std::int64_t, std::int64_t, const Wide<T>*, T*, T*);                                   \
  template void recompute_swiglu<T>(std::int64_t, std::int64_t, const T*, T*);                                        \
  template void swiglu_gradient<T>(std::int64_t, std::int64_t, const T*, const Wide<T>*, T*);                         \
  template void round_rows<T>(std::int64_t, std::int64_t, const Wide<T>*, std::int64_t, T*, std::int64_t);            \
  template void copy_rows<T>(std::int64_t, std::int64_t, const T*, std::int64_t, T*, std::int64_t);                   \
  template void add_rows<T>(std::int64_t, const T*, const Wide<T>*, T*);                                              \
  template void add_bias<T>(std::int64_t, std::int64_t, const Wide<T>*, Wide<T>*, std::int64_t);                      \
  template void sum_rows<T>(std::int64_t, std::int64_t, const T*, std::int64_t, Wide<T>*);

SHINE_ROW_KERNELS(float)
SHINE_ROW_KERNELS(Bf16)
SHINE_ROW_KERNELS(double)

}  // namespace shine::cpu
