#pragma once

#include <string>

#include "shine/app/experiment_config.h"
#include "shine/common/api.h"

namespace shine {

/// Checks all that would stop a run before its first step, without starting it: the files that the configuration names,
/// the folder of the run and the configuration of the run in it, the weights of stage.init_from, and the data, which
/// are read unless they have more than a GiB. Makes and changes nothing. Returns lines for the user. Throws what a run
/// would throw.
SHINE_API std::string check_start(const ExperimentConfig& config, bool allow_changes);

}  // namespace shine
