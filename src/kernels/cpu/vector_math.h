#pragma once

// Scalar building blocks of loops that the compiler turns into vector code. For torch-free kernel units only (see
// CMakeLists.txt): they are compiled for newer processors than the rest, so everything here has internal linkage.

#include <cstdint>

#include "kernels/cpu/kernel_types.h"

namespace shine::cpu {
namespace {

[[maybe_unused]] inline float to_wide(float x) {
  return x;
}
[[maybe_unused]] inline double to_wide(double x) {
  return x;
}
[[maybe_unused]] inline float to_wide(Bf16 x) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(x.bits) << 16U);
}

/// To the nearest value of T, ties to even.
template <class T>
inline T narrow_to(Wide<T> x) {
  if constexpr (sizeof(T) == sizeof(Wide<T>)) {
    return x;
  } else {
    const auto bits = __builtin_bit_cast(std::uint32_t, x);
    const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
    const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
    return {static_cast<std::uint16_t>(is_nan ? 0x7FC0U : rounded)};
  }
}

/// e^x within 2 ulp for float; 0 below -87.3 (no denormal results), infinity above 88.7.
[[maybe_unused]] inline float fast_exp(float x) {
  constexpr float log2e = 1.44269504088896341F, ln2_high = 0.693359375F, ln2_low = -2.12194440e-4F;
  constexpr float magic = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const float bounded = x < -87.3F ? -87.3F : (x > 88.7F ? 88.7F : x);
  const float shifted = bounded * log2e + magic;
  const float n = shifted - magic;
  const float r = (bounded - n * ln2_high) - n * ln2_low;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  // 2^n in two factors, so that n = 128 does not overflow before the product does.
  const auto whole = static_cast<std::int32_t>(n), half = whole >> 1;
  const float first = __builtin_bit_cast(float, (half + 127) << 23),
              second = __builtin_bit_cast(float, (whole - half + 127) << 23);
  const float result = p * first * second;
  return x < -87.3F ? 0.0F : (x > 88.7F ? __builtin_bit_cast(float, 0x7F800000) : (x != x ? x : result));
}

[[maybe_unused]] inline double fast_exp(double x) {
  return __builtin_exp(x);
}

/// 1 / (1 + e^-x)
template <class W>
inline W sigmoid(W x) {
  return W(1) / (W(1) + fast_exp(-x));
}

}  // namespace
}  // namespace shine::cpu
