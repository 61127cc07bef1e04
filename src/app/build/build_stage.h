#pragma once

#include "shine/app/builders.h"
#include "train/stage.h"

namespace shine {

/// Datasets and objective of the configured stage; the experiment's models must be built.
Stage build_stage(const Experiment& experiment);

}  // namespace shine
