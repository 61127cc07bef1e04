#pragma once

#include <array>
#include <string_view>

namespace shine {

/// Type of weights; what `automatic` stands for is said by each key.
enum class WeightDtype { float32, bfloat16, automatic };
constexpr std::array<std::string_view, 3> config_names(WeightDtype) {
  return {"float32", "bfloat16", "auto"};
}

}  // namespace shine
