#include <algorithm>
#include <array>

#include "shine/app/builders.h"
#include "shine/common/error.h"
#include "shine/train/checkpoint.h"

namespace shine {
namespace {

/// Groups and keys that may change between two parts of one run.
constexpr std::array<std::string_view, 9> kFreeKeys{
    "run.dir:",    "run.device:", "run.threads:",     "run.max_steps:",  "logging.",
    "checkpoint.", "evaluation.", "model.attention:", "model.recompute:"};

bool is_free(const std::string& difference) {
  return std::any_of(kFreeKeys.begin(), kFreeKeys.end(),
                     [&](std::string_view key) { return difference.starts_with(key); });
}

}  // namespace

void check_run_folder(const ExperimentConfig& config) {
  const auto newest = CheckpointStore(config.run.dir, config.checkpoint.keep_last).newest();
  if (!newest) return;
  if (config.checkpoint.resume == ResumeMode::never) {
    throw ConfigError(str("the folder holds checkpoints already, the newest ", newest->filename().string()),
                      "run.dir " + config.run.dir, "use another run.dir, or checkpoint.resume=auto");
  }
  const ExperimentConfig saved = load_experiment_config(*newest / "config.yaml");
  std::vector<std::string> differences = compare_configs(saved, config);
  std::erase_if(differences, is_free);
  if (!differences.empty()) {
    throw ConfigError(str("the run there has another configuration: ", join(differences, "; ")),
                      "run.dir " + config.run.dir, "use another run.dir, or the same configuration");
  }
}

}  // namespace shine
