#include "kernels/cpu/encoder_kernels.h"

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/vector_math.h"

namespace shine::cpu {
namespace {

constexpr double kRootHalf = 0.70710678118654752440, kRootTwoPi = 2.50662827463100050242;

/// The normal distribution: share below x, density at x.
template <class W>
struct Normal {
  W below, density;
};

/// erfc(z) exp(z^2) (1 + c z) is a polynomial in 1 / (1 + c z) for z >= 0, within 7e-9 of it (fitted).
inline Normal<float> normal_at(float x) {
  constexpr float c = 0.35F;
  const float gauss = fast_exp(-0.5F * x * x);
  const float z = (x < 0 ? -x : x) * static_cast<float>(kRootHalf);
  const float t = 1.0F / (1.0F + c * z);
  float p = 3.7775861519e-02F;
  p = p * t - 1.5541700684e-01F;
  p = p * t + 1.7289291564e-01F;
  p = p * t - 1.5801770686e-02F;
  p = p * t + 7.6660014840e-02F;
  p = p * t + 1.5188745126e-01F;
  p = p * t + 1.4905087630e-01F;
  p = p * t + 1.8838860867e-01F;
  p = p * t + 1.9707581935e-01F;
  p = p * t + 1.9748723664e-01F;
  const float beyond = 0.5F * p * t * gauss;  // the share further from 0 on the side of x
  return {x < 0 ? beyond : 1.0F - beyond, gauss / static_cast<float>(kRootTwoPi)};
}

inline Normal<double> normal_at(double x) {
  return {0.5 * __builtin_erfc(-x * kRootHalf), __builtin_exp(-0.5 * x * x) / kRootTwoPi};
}

template <class W>
struct Moments {
  W mean, inverse;  ///< inverse: of the standard deviation
};

template <class W>
inline Moments<W> moments_of(std::int64_t width, const W* z, double eps) {
  W sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < width; ++i) sum += z[i];
  const W mean = sum / static_cast<W>(width);
  W squares = 0;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < width; ++i) squares += (z[i] - mean) * (z[i] - mean);
  const double variance = static_cast<double>(squares) / static_cast<double>(width);
  return {mean, static_cast<W>(1.0 / __builtin_sqrt(variance + eps))};
}

constexpr std::int64_t kTile = 16;
using Unit = std::uint32_t;
using HalfRow = std::uint16_t __attribute__((vector_size(32)));

/// rows = a tile of 16 x 16 units whose rows lie `pitch` bytes apart, transposed.
inline void load_transposed(const void* from, std::int64_t pitch, Words* rows) {
  for (int i = 0; i < 16; ++i) rows[i] = load<Words>(static_cast<const char*>(from) + i * pitch);
  transpose(rows);
}

/// to (n, ld_to) = from (m, n) transposed, values of 32 bits.
inline void transpose_units(std::int64_t m, std::int64_t n, const void* from, std::int64_t ld_from, void* to,
                            std::int64_t ld_to) {
  const auto* source = static_cast<const char*>(from);
  auto* target = static_cast<char*>(to);
  constexpr std::int64_t size = sizeof(Unit);
  const std::int64_t whole_m = m / kTile * kTile, whole_n = n / kTile * kTile;
  const auto copy_one = [&](std::int64_t row, std::int64_t column) {
    __builtin_memcpy(target + (column * ld_to + row) * size, source + (row * ld_from + column) * size, size);
  };
  for (std::int64_t row = 0; row < whole_m; row += kTile) {
    for (std::int64_t column = 0; column < whole_n; column += kTile) {
      Words rows[kTile];
      load_transposed(source + (row * ld_from + column) * size, ld_from * size, rows);
      for (std::int64_t i = 0; i < kTile; ++i) {
        __builtin_memcpy(target + ((column + i) * ld_to + row) * size, &rows[i], sizeof(Words));
      }
    }
    for (std::int64_t column = whole_n; column < n; ++column) {
      for (std::int64_t i = 0; i < kTile; ++i) copy_one(row + i, column);
    }
  }
  for (std::int64_t row = whole_m; row < m; ++row) {
    for (std::int64_t column = 0; column < n; ++column) copy_one(row, column);
  }
}

/// The same for values of 16 bits, two columns to a unit.
inline void transpose_halves(std::int64_t m, std::int64_t n, const Bf16* from, std::int64_t ld_from, Bf16* to,
                             std::int64_t ld_to) {
  const std::int64_t whole_m = m / kTile * kTile, whole_n = n / (2 * kTile) * 2 * kTile;
  for (std::int64_t row = 0; row < whole_m; row += kTile) {
    for (std::int64_t column = 0; column < whole_n; column += 2 * kTile) {
      Words rows[kTile];
      load_transposed(from + row * ld_from + column, ld_from * static_cast<std::int64_t>(sizeof(Bf16)), rows);
      for (std::int64_t i = 0; i < kTile; ++i) {
        const auto even = __builtin_convertvector(rows[i], HalfRow);
        const auto odd = __builtin_convertvector(rows[i] >> 16U, HalfRow);
        Bf16* pair = to + (column + 2 * i) * ld_to + row;
        __builtin_memcpy(pair, &even, sizeof even);
        __builtin_memcpy(pair + ld_to, &odd, sizeof odd);
      }
    }
    for (std::int64_t column = whole_n; column < n; ++column) {
      for (std::int64_t i = row; i < row + kTile; ++i) to[column * ld_to + i] = from[i * ld_from + column];
    }
  }
  for (std::int64_t row = whole_m; row < m; ++row) {
    for (std::int64_t column = 0; column < n; ++column) to[column * ld_to + row] = from[row * ld_from + column];
  }
}

inline void transpose_doubles(std::int64_t m, std::int64_t n, const double* from, std::int64_t ld_from, double* to,
                              std::int64_t ld_to) {
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t column = 0; column < n; ++column) to[column * ld_to + row] = from[row * ld_from + column];
  }
}

}  // namespace

template <class W>
void layer_norm_rows(std::int64_t m, std::int64_t width, const W* z, const W* weight, const W* bias, double eps, W* y) {
  for (std::int64_t row = 0; row < m; ++row, z += width, y += width) {
    const auto [mean, inverse] = moments_of(width, z, eps);
    const W shift = mean, factor = inverse;
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) y[i] = (z[i] - shift) * factor * weight[i] + bias[i];
  }
}

template <class W>
void layer_norm_gradient(std::int64_t m, std::int64_t width, const W* z, const W* weight, double eps, const W* dy,
                         W* dz, W* dweight, W* dbias) {
  for (std::int64_t row = 0; row < m; ++row, z += width, dy += width, dz += width) {
    const Moments<W> moments = moments_of(width, z, eps);
    const W mean = moments.mean, inverse = moments.inverse;
    W average = 0, along = 0;  // means of the gradient of the normalised row, and of its product with that row
#pragma omp simd reduction(+ : average, along)
    for (std::int64_t i = 0; i < width; ++i) {
      const W gradient = dy[i] * weight[i];
      average += gradient;
      along += gradient * ((z[i] - mean) * inverse);
    }
    average /= static_cast<W>(width);
    along /= static_cast<W>(width);
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      const W normal = (z[i] - mean) * inverse;
      dweight[i] += dy[i] * normal;
      dbias[i] += dy[i];
      dz[i] = inverse * (dy[i] * weight[i] - average - normal * along);
    }
  }
}

template <class W>
void add_bias_residual(std::int64_t m, std::int64_t width, const W* x, const W* y, const W* bias, W* z) {
  for (std::int64_t row = 0; row < m; ++row, x += width, y += width, z += width) {
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) z[i] = x[i] + (y[i] + bias[i]);
  }
}

template <class T>
void round_biased(std::int64_t m, std::int64_t n, const Wide<T>* y, const Wide<T>* bias, T* out) {
  for (std::int64_t row = 0; row < m; ++row, y += n, out += n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) out[i] = narrow_to<T>(y[i] + bias[i]);
  }
}

template <class T>
void gelu_rows(std::int64_t m, std::int64_t n, const Wide<T>* y, const Wide<T>* bias, T* saved, T* act) {
  round_biased<T>(m, n, y, bias, saved);
#pragma omp simd
  for (std::int64_t i = 0; i < m * n; ++i) {
    const Wide<T> x = to_wide(saved[i]);
    act[i] = narrow_to<T>(x * normal_at(x).below);
  }
}

template <class T>
void gelu_gradient(std::int64_t m, std::int64_t n, const T* saved, const Wide<T>* dact, T* act, T* dinner) {
#pragma omp simd
  for (std::int64_t i = 0; i < m * n; ++i) {
    const Wide<T> x = to_wide(saved[i]);
    const Normal<Wide<T>> normal = normal_at(x);
    act[i] = narrow_to<T>(x * normal.below);
    dinner[i] = narrow_to<T>(dact[i] * (normal.below + x * normal.density));
  }
}

template <class W>
void softmax_rows(std::int64_t m, std::int64_t n, W* scores, double scale, const bool* attn_mask) {
  const auto factor = static_cast<W>(scale);
  for (std::int64_t row = 0; row < m; ++row, scores += n) {
    if (attn_mask != nullptr) {
      for (std::int64_t i = 0; i < n; ++i) {
        if (attn_mask[row * n + i]) scores[i] = -static_cast<W>(__builtin_inf());
      }
    }
    W highest = scores[0];
#pragma omp simd reduction(max : highest)
    for (std::int64_t i = 0; i < n; ++i) highest = scores[i] > highest ? scores[i] : highest;
    W sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) {
      const W value = fast_exp((scores[i] - highest) * factor);
      scores[i] = value;
      sum += value;
    }
    const W inverse = W(1) / sum;
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) scores[i] *= inverse;
  }
}

template <class W>
void softmax_gradient(std::int64_t m, std::int64_t n, const W* p, W* dp, double scale) {
  const auto factor = static_cast<W>(scale);
  for (std::int64_t row = 0; row < m; ++row, p += n, dp += n) {
    W along = 0;
#pragma omp simd reduction(+ : along)
    for (std::int64_t i = 0; i < n; ++i) along += p[i] * dp[i];
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) dp[i] = p[i] * (dp[i] - along) * factor;
  }
}

template <class T>
void transpose_left(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to, std::int64_t ld_to) {
  if constexpr (sizeof(T) == sizeof(Bf16)) {
    transpose_halves(m, n, from, ld_from, to, ld_to);
  } else if constexpr (sizeof(T) == sizeof(Unit)) {
    transpose_units(m, n, from, ld_from, to, ld_to);
  } else {
    transpose_doubles(m, n, from, ld_from, to, ld_to);
  }
  if (m == ld_to) return;
  for (std::int64_t column = 0; column < n; ++column) {
    for (std::int64_t i = m; i < ld_to; ++i) to[column * ld_to + i] = T{};
  }
}

template <class T>
void transpose_right(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to, std::int64_t ld_to) {
  if constexpr (sizeof(T) == sizeof(Bf16)) {
    transpose_units(m, n / 2, from, ld_from / 2, to, ld_to);
  } else if constexpr (sizeof(T) == sizeof(Unit)) {
    transpose_units(m, n, from, ld_from, to, ld_to);
  } else {
    transpose_doubles(m, n, from, ld_from, to, ld_to);
  }
}

template <class T>
void row_sums(std::int64_t m, std::int64_t n, const T* x, std::int64_t ldx, Wide<T>* sums) {
  for (std::int64_t row = 0; row < m; ++row, x += ldx) {
    Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) sum += to_wide(x[i]);
    sums[row] = sum;
  }
}

#define SHINE_WIDE_KERNELS(W)                                                                                         \
  template void layer_norm_rows<W>(std::int64_t, std::int64_t, const W*, const W*, const W*, double, W*);             \
  template void layer_norm_gradient<W>(std::int64_t, std::int64_t, const W*, const W*, double, const W*, W*, W*, W*); \
  template void add_bias_residual<W>(std::int64_t, std::int64_t, const W*, const W*, const W*, W*);                   \
  template void softmax_rows<W>(std::int64_t, std::int64_t, W*, double, const bool*);                                 \
  template void softmax_gradient<W>(std::int64_t, std::int64_t, const W*, W*, double);

#define SHINE_OPERAND_KERNELS(T)                                                                          \
  template void round_biased<T>(std::int64_t, std::int64_t, const Wide<T>*, const Wide<T>*, T*);          \
  template void gelu_rows<T>(std::int64_t, std::int64_t, const Wide<T>*, const Wide<T>*, T*, T*);         \
  template void gelu_gradient<T>(std::int64_t, std::int64_t, const T*, const Wide<T>*, T*, T*);           \
  template void transpose_left<T>(std::int64_t, std::int64_t, const T*, std::int64_t, T*, std::int64_t);  \
  template void transpose_right<T>(std::int64_t, std::int64_t, const T*, std::int64_t, T*, std::int64_t); \
  template void row_sums<T>(std::int64_t, std::int64_t, const T*, std::int64_t, Wide<T>*);

SHINE_WIDE_KERNELS(float)
SHINE_WIDE_KERNELS(double)
SHINE_OPERAND_KERNELS(float)
SHINE_OPERAND_KERNELS(Bf16)
SHINE_OPERAND_KERNELS(double)

}  // namespace shine::cpu
