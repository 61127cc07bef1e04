#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "data/dataset.h"
#include "shine/app/experiment_config.h"
#include "shine/common/api.h"

namespace shine {

/// Optimizer steps that a configuration leads to.
struct PlannedSteps {
  std::int64_t epoch = 0;  ///< of an epoch
  std::int64_t total = 0;  ///< of the schedule
  std::int64_t last = 0;   ///< that the run ends with: run.max_steps, if that is less
};

/// @param samples  of an epoch, at least 1
SHINE_API PlannedSteps plan_steps(const ExperimentConfig& config, std::size_t samples);

/// Lines in words on what a run does with its samples: how many, of how many tokens, in how many steps and epochs, at
/// which learning rate and precision.
/// @param samples  not empty
std::string describe_plan(const ExperimentConfig& config, const Dataset& samples);

}  // namespace shine
