#include "app/generate/load_models.h"

#include <nlohmann/json.hpp>

#include "app/config/trained_sizes.h"
#include "app/evaluate/evaluation_inputs.h"
#include "shine/common/logging.h"

namespace shine {

LoadedModels load_models(const std::filesystem::path& file, std::vector<std::string> overrides,
                         const std::string& checkpoint, bool needs_weights) {
  if (!checkpoint.empty()) {
    const nlohmann::json quoted = checkpoint;
    overrides.push_back("evaluation.checkpoint=" +
                        quoted.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  ConfigOrigins origins;
  ExperimentConfig config = load_experiment_config(file, overrides, &origins, ConfigUse::model);
  set_log_level(config.logging.level);
  check_model_inputs(config);
  if (!needs_weights) return {build_language_model(config), {}};
  log_trained_sizes(take_trained_sizes(config, origins, ConfigUse::test));
  const WeightsSource weights = find_evaluated_weights(
      config, "train it, name another --checkpoint, give an --adapter, or ask with --methods naive,in_context");
  log_info("weights: " + weights.note);
  return {build_model(config, weights), weights};
}

}  // namespace shine
