#pragma once

#include <cstdint>

namespace shine {

/// How a model that was made for longer texts than it first saw turns its rotations down.
struct RopeScaling {
  enum class Kind {
    none,
    linear,  ///< every frequency is divided by `factor`
    llama3,  ///< low ones are, high ones stay, those between are mixed (Llama 3.1)
  };
  Kind kind = Kind::none;
  double factor = 1.0;
  /// llama3: a frequency that turns fewer than `low` times in `original_positions` is low, more than `high` times high.
  double low = 1.0, high = 4.0;
  std::int64_t original_positions = 0;

  bool operator==(const RopeScaling&) const = default;
};

}  // namespace shine
