#pragma once

#include <cstdint>

#include "shine/config/constraint.h"
#include "shine/config/stage_name.h"

namespace shine {

/// Validation during training.
struct ValidationConfig {
  int64_t every_steps = 1000;
  int64_t max_samples = 100;
  bool at_start = true;
  bool diagnostics = true;

  bool operator==(const ValidationConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("every_steps", every_steps, "optimizer steps between validations; 0 = never during training", at_least(0),
      FormerName{"evaluation.every_steps"});
    v("max_samples", max_samples, "validation samples used at most", at_least(1), FormerName{"evaluation.max_samples"});
    v("at_start", at_start, "validate before the first step", FormerName{"evaluation.at_start"});
    v("diagnostics", diagnostics, "at validation, compare the LoRAs of different contexts (collapse, size)",
      unused_in(StageName::backbone), FormerName{"evaluation.diagnostics"});
  }
};

}  // namespace shine
