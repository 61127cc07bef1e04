#pragma once

#include <cstdint>
#include <type_traits>

namespace shine::cpu {

/// The bits of a bfloat16, as at::BFloat16 holds them.
struct Bf16 {
  std::uint16_t bits;
};

/// The accumulator of T.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

}  // namespace shine::cpu
