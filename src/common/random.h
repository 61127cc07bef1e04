#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace shine {

/// A small seedable generator (xoshiro256**, Blackman and Vigna 2018, seeded by splitmix64) whose numbers are the same
/// with every compiler and standard library. For orders and choices in the data, not for cryptography; tensors get
/// their random numbers from torch.
class Random {
 public:
  using State = std::array<std::uint64_t, 4>;

  explicit Random(std::uint64_t seed);

  /// An independent stream for a place such as {purpose, epoch, index}: it does not depend on what was drawn elsewhere,
  /// so any sample of any epoch can be rebuilt without drawing those before it.
  static Random stream(std::uint64_t seed, std::initializer_list<std::uint64_t> place);

  /// Continues from a saved state. Throws ConfigError for the all-zero state, which the generator never reaches.
  static Random from_state(const State& state);
  const State& state() const { return state_; }

  /// 64 uniform bits.
  std::uint64_t next();

  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();

  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// Uniform in 0 .. bound - 1, without bias; bound must be positive.
  std::uint64_t below(std::uint64_t bound);

  /// Fisher-Yates, from the last place down.
  template <class Item>
  void shuffle(std::vector<Item>& items) {
    for (std::size_t left = items.size(); left > 1; --left) {
      std::swap(items[left - 1], items[static_cast<std::size_t>(below(left))]);
    }
  }

 private:
  explicit Random(const State& state) : state_(state) {}

  State state_;
};

}  // namespace shine
