#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "common/random.h"

namespace shine::test {

/// Sizes for tests of kernels, drawn anew for each $SHINE_TEST_SEED (1 where it is not set): the same seed draws the
/// same sizes on every machine. Bounds belong to what may be drawn; small and large sizes come alike often.
class RandomSizes {
 public:
  RandomSizes() : seed_(seed_of_tests()), random_(seed_) {}

  std::int64_t any(std::int64_t low, std::int64_t high) {
    const double drawn = std::exp(random_.uniform(std::log(low), std::log(high + 1)));
    return std::clamp(static_cast<std::int64_t>(drawn), low, high);
  }
  std::int64_t odd(std::int64_t low, std::int64_t high) { return 2 * any(low / 2 + 1, (high + 1) / 2) - 1; }
  std::int64_t multiple_of(std::int64_t step, std::int64_t low, std::int64_t high) {
    return step * any((low + step - 1) / step, high / step);
  }
  bool yes() { return random_.below(2) == 1; }

  /// What a test says when it fails.
  std::string hint() const { return "sizes of SHINE_TEST_SEED=" + std::to_string(seed_); }

 private:
  static std::uint64_t seed_of_tests() {
    const char* set = std::getenv("SHINE_TEST_SEED");
    return set == nullptr ? 1 : std::strtoull(set, nullptr, 10);
  }

  std::uint64_t seed_;
  Random random_;
};

struct RowSizes {
  std::int64_t rows, width;
};

/// Rows of every kind that the kernels tell apart: read value by value (odd widths), by 16 bytes in float32 alone
/// (4 more than a multiple of 8) and in both types; short ones that share a warp, longer ones of part of a block and of
/// a block that goes over them several times; more rows than a block takes; one value; none.
inline std::vector<RowSizes> rows_of_every_kind(RandomSizes& draw) {
  return {{draw.odd(3, 9), draw.odd(3, 127)},
          {draw.any(1, 9), draw.odd(129, 255)},
          {draw.any(1, 3), draw.odd(257, 5121)},
          {draw.any(1, 9), 4 + draw.multiple_of(8, 8, 512)},
          {draw.any(33, 130), draw.multiple_of(8, 8, 64)},
          {draw.odd(3, 9), draw.multiple_of(8, 64, 1024)},
          {draw.any(1, 5), draw.multiple_of(8, 1032, 2040)},
          {draw.any(1, 3), draw.multiple_of(8, 2056, 5120)},
          {1, 1},
          {0, draw.any(1, 64)}};
}

struct HeadSizes {
  std::int64_t tokens, heads, d;
};

/// Heads of even width, whose halves are read value by value, by 16 bytes in float32 alone and in both types; longer
/// ones than a warp reads at once; none.
inline std::vector<HeadSizes> heads_of_every_kind(RandomSizes& draw) {
  return {{draw.odd(3, 33), draw.any(1, 8), 2 * draw.odd(1, 31)},
          {draw.any(1, 33), draw.any(1, 8), 2 * (4 + draw.multiple_of(8, 8, 56))},
          {draw.any(1, 33), draw.odd(1, 7), 2 * draw.multiple_of(8, 8, 64)},
          {draw.any(1, 5), draw.any(1, 3), 2 * draw.odd(129, 301)},
          {draw.any(1, 5), draw.any(1, 3), 2 * draw.multiple_of(8, 264, 512)},
          {0, draw.any(1, 4), 2 * draw.any(1, 8)}};
}

}  // namespace shine::test
