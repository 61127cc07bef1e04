#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "shine/lora/lora_spec.h"

namespace shine {

/// How alike vectors are. Of B orthogonal ones of equal length the cosine is 0 and the share 1 / B; where all are the
/// same one, both are 1.
struct Agreement {
  double mean_cosine = std::numeric_limits<double>::quiet_NaN();  ///< over all pairs; NaN with a zero vector, or alone
  double mean_share = std::numeric_limits<double>::quiet_NaN();   ///< |mean|^2 / mean of |.|^2: what the mean explains
};

/// What tells that a hypernetwork has collapsed to one constant LoRA, or that its LoRAs explode.
struct LoraDiagnostics {
  std::int64_t contexts = 0;
  Agreement delta;   ///< of the changes A B of all layers and projections, taken as one vector a context
  Agreement vector;  ///< of the generated vectors, which A and B are cut from
  /// |A B| / |W| (Frobenius) of each projection, mean and maximum over layers and contexts.
  std::array<double, kProjections.size()> relative_norm{}, max_relative_norm{};
};

}  // namespace shine
