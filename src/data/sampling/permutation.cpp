#include "data/sampling/permutation.h"

#include <algorithm>
#include <bit>

#include "common/random.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::uint64_t kLargest = std::uint64_t{1} << 62;

/// The last steps of splitmix64: every bit of the input changes about half of the output.
std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

}  // namespace

Permutation::Permutation(std::uint64_t seed, std::uint64_t size) : size_(size) {
  SHINE_CHECK(size > 0 && size <= kLargest, ConfigError, "there is no order of ", size, " samples");
  half_bits_ = std::max(1U, (static_cast<unsigned>(std::bit_width(size - 1)) + 1) / 2);
  Random random(seed);
  for (std::uint64_t& key : keys_) key = random.next();
}

std::uint64_t Permutation::scramble(std::uint64_t value) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_, right = value & mask;
  for (const std::uint64_t key : keys_) {
    const std::uint64_t next = left ^ (mix(right + key) & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

std::uint64_t Permutation::at(std::uint64_t place) const {
  SHINE_CHECK(place < size_, ConfigError, "there is no place ", place, " in an order of ", size_, " samples");
  // The network is one cycle structure on all values: from a value below size the walk comes back below it.
  std::uint64_t value = scramble(place);
  while (value >= size_) value = scramble(value);
  return value;
}

}  // namespace shine
