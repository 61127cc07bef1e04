#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "lora/lora_diagnostics.h"

namespace shine {

/// All measures by name, those of projections as objects.
nlohmann::ordered_json diagnostics_json(const LoraDiagnostics& diagnostics);

/// The same as an event of a metrics file, of kind "diagnostics".
nlohmann::ordered_json diagnostics_event(std::int64_t step, const LoraDiagnostics& diagnostics);

/// One line for the log.
std::string diagnostics_line(const LoraDiagnostics& diagnostics);

/// Follows the diagnostics of a run and warns if the generated LoRAs collapse into one constant LoRA or grow as large
/// as the weights that they change. It stops nothing: a cosine near 1 may be temporary.
class LoraWatch {
 public:
  static constexpr double kCosineLimit = 0.99;       ///< of the mean cosine between changes
  static constexpr double kRelativeNormLimit = 1.0;  ///< of a projection's mean |A B| / |W|

  /// @param warmup_steps  no warnings before: the LoRAs of new weights are large, and soon alike
  explicit LoraWatch(std::int64_t warmup_steps) : warmup_steps_(warmup_steps) {}

  /// The warnings after `step` steps: each limit once when it is passed, again only after a return below it.
  std::vector<std::string> warnings(std::int64_t step, const LoraDiagnostics& diagnostics);

 private:
  std::int64_t warmup_steps_;
  bool collapsed_ = false, exploded_ = false;
};

}  // namespace shine
