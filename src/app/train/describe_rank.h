#pragma once

#include <string>

#include "shine/app/experiment_config.h"
#include "shine/common/api.h"
#include "shine/distributed/launch.h"

namespace shine {

/// What one rank of a training job would do, one line per fact: device, its share of a step, what it writes, where the
/// ranks meet. Opens nothing and forms no group, so it works for any rank on any machine. Throws
/// ConfigError as require_master.
SHINE_API std::string describe_rank(const ExperimentConfig& config, const Launch& launch);

}  // namespace shine
