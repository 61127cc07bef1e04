#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "shine/app/builders.h"
#include "shine/common/api.h"

namespace shine {

/// What answers: the backbone, and with trained weights the hypernetwork.
struct LoadedModels {
  Experiment experiment;
  std::optional<WeightsSource> weights;
};

/// Reads the configuration, for which neither training nor test data need exist, then the models.
/// @param checkpoint     run folder, checkpoint or published folder; empty: evaluation.checkpoint, else run.dir
/// @param needs_weights  without, only the backbone is loaded
/// Throws what load_experiment_config, check_model_inputs, find_evaluated_weights and building throw.
SHINE_API LoadedModels load_models(const std::filesystem::path& config, std::vector<std::string> overrides,
                                   const std::string& checkpoint, bool needs_weights);

}  // namespace shine
