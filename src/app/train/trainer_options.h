#pragma once

#include "shine/app/experiment_config.h"
#include "shine/common/api.h"
#include "train/trainer.h"

namespace shine {

/// What the trainer reads of a configuration.
SHINE_API TrainerOptions trainer_options(const ExperimentConfig& config, at::Device device);

}  // namespace shine
