#pragma once

// Vectors of one 64-byte register and their arithmetic, for torch-free kernel units only (see vector_math.h).

#include <utility>

#include "kernels/cpu/kernel_types.h"
#include "kernels/cpu/vector_math.h"

namespace shine::cpu {
namespace {

template <class V, int count>
struct VectorOf {
  using Type [[gnu::vector_size(sizeof(V) * count)]] = V;
};

using Words = VectorOf<std::uint32_t, 16>::Type;

/// 64 bytes of W: 16 floats or 8 doubles.
template <class W>
using Lanes = typename VectorOf<W, 64 / static_cast<int>(sizeof(W))>::Type;

template <class W>
inline constexpr std::int64_t kLanes = 64 / static_cast<std::int64_t>(sizeof(W));

template <class V, class Value>
inline V load(const Value* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
}

template <class V, class Value>
inline void store(Value* to, const V& v) {
  __builtin_memcpy(to, &v, sizeof(V));
}

template <class W>
inline Lanes<W> all_lanes(W x) {
  return x - Lanes<W>{};
}

template <class V>
inline V larger(V a, V b) {
  return a > b ? a : b;
}

/// e^x of each lane for x up to 0 (a little above by rounding), within 2 ulp; 0 below -87.3, and for -infinity.
[[maybe_unused]] inline Lanes<float> exp_of_negative(Lanes<float> x) {
  using V = Lanes<float>;
  constexpr float lowest = -87.3F, magic = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const V bounded = x < lowest ? all_lanes(lowest) : x;
  const V shifted = bounded * 1.44269504088896341F + magic;
  const V n = shifted - magic;
  const V r = (bounded - n * 0.693359375F) - n * -2.12194440e-4F;
  V p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  // The last bits of `shifted` hold n: moved to the exponent they scale p by 2^n.
  const Words power = (__builtin_bit_cast(Words, shifted) + 127U) << 23U;
  const V result = p * __builtin_bit_cast(V, power);
  return x < lowest ? V{} : result;
}

[[maybe_unused]] inline Lanes<double> exp_of_negative(Lanes<double> x) {
  for (int i = 0; i < 8; ++i) x[i] = __builtin_exp(x[i]);
  return x;
}

/// The bits of 16 floats rounded to bfloat16, in the high halves of the words; the low halves are rubbish.
inline Words rounded_words(Lanes<float> x) {
  const Words bits = __builtin_bit_cast(Words, x);
  const Words rounded = bits + 0x7FFFU + ((bits >> 16U) & 1U);
  return x == x ? rounded : Words{} + 0x7FC00000U;
}

/// One of the steps that transpose 16 rows of 16 words: blocks of `half` lanes change places between two rows.
template <int half, int... i>
inline void exchange(Words& upper, Words& lower, std::integer_sequence<int, i...> /*lanes*/) {
  const Words first = __builtin_shufflevector(upper, lower, ((i & half) != 0 ? 16 + i - half : i)...);
  lower = __builtin_shufflevector(upper, lower, ((i & half) != 0 ? 16 + i : i + half)...);
  upper = first;
}

template <int half>
inline void exchange_all(Words* rows) {
  for (int i = 0; i < 16; ++i) {
    if ((i & half) == 0) exchange<half>(rows[i], rows[i + half], std::make_integer_sequence<int, 16>{});
  }
}

/// 16 rows of 16 words, transposed in place.
[[maybe_unused]] inline void transpose(Words* rows) {
  exchange_all<8>(rows);
  exchange_all<4>(rows);
  exchange_all<2>(rows);
  exchange_all<1>(rows);
}

}  // namespace
}  // namespace shine::cpu
