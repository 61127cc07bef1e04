#include "common/random.h"

#include <algorithm>
#include <bit>

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::uint64_t kGoldenGamma = 0x9E3779B97F4A7C15;

/// splitmix64's output function, a bijection that spreads every bit.
std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

}  // namespace

Random::Random(std::uint64_t seed) {
  for (auto& word : state_) word = mix(seed += kGoldenGamma);
}

Random Random::stream(std::uint64_t seed, std::initializer_list<std::uint64_t> place) {
  std::uint64_t key = mix(seed + kGoldenGamma);
  for (const std::uint64_t part : place) key = mix(key + kGoldenGamma) ^ mix(part + 2 * kGoldenGamma);
  return Random(key);
}

Random Random::from_state(const State& state) {
  SHINE_CHECK(std::ranges::any_of(state, [](std::uint64_t word) { return word != 0; }), ConfigError,
              "a random generator's state is all zeros: it was not saved by this program");
  return Random(state);
}

std::uint64_t Random::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double Random::uniform() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

std::uint64_t Random::below(std::uint64_t bound) {
  SHINE_CHECK(bound > 0, ConfigError, "a random number below 0 was asked for");
  // 2^64 modulo bound: numbers under it would make some remainders more likely than others.
  const std::uint64_t unfair = (0 - bound) % bound;
  std::uint64_t value = next();
  while (value < unfair) value = next();
  return value % bound;
}

}  // namespace shine
