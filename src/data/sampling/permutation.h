#pragma once

#include <array>
#include <cstdint>

namespace shine {

/// A random order of 0 .. size - 1 that is computed, not stored: a Feistel network over the next even number of bits,
/// walked again while it leads outside (Black and Rogaway, 2002). Good enough to shuffle samples, not for cryptography.
class Permutation {
 public:
  /// @param seed  draws the order
  /// Throws ConfigError where there is nothing to order, or more than 2^62.
  Permutation(std::uint64_t seed, std::uint64_t size);

  std::uint64_t size() const { return size_; }

  /// What stands at `place` of the order.
  /// @param place  below size(); throws ConfigError otherwise
  std::uint64_t at(std::uint64_t place) const;

 private:
  static constexpr std::size_t kRounds = 6;
  std::uint64_t scramble(std::uint64_t value) const;

  std::uint64_t size_;
  unsigned half_bits_ = 1;
  std::array<std::uint64_t, kRounds> keys_{};
};

}  // namespace shine
