#pragma once

#include <string>

#include "data/dataset.h"
#include "shine/app/experiment_config.h"

namespace shine {

/// Lines in words on what a run does with its samples: how many, of how many tokens, in how many steps and epochs, at
/// which learning rate and precision.
/// @param samples  not empty
std::string describe_plan(const ExperimentConfig& config, const Dataset& samples);

}  // namespace shine
