#include <algorithm>
#include <array>
#include <optional>

#include "shine/app/builders.h"
#include "shine/common/error.h"
#include "shine/io/atomic_folder.h"
#include "shine/run/checkpoint_store.h"
#include "shine/run/run_folder.h"

namespace shine {
namespace {

/// Groups and keys that may change between two parts of one run.
constexpr std::array<std::string_view, 12> kFreeKeys{
    "run.dir:", "run.device:", "run.threads:", "run.max_steps:",   "run.max_minutes:", "run.deterministic:",
    "logging.", "checkpoint.", "evaluation.",  "model.attention:", "model.recompute:", "stage.allow_unfinished:"};

bool is_free(const std::string& difference) {
  return std::any_of(kFreeKeys.begin(), kFreeKeys.end(),
                     [&](std::string_view key) { return difference.starts_with(key); });
}

/// The configuration of the newest checkpoint whose copy of it is undamaged; a damaged one is skipped at resume too.
std::optional<ExperimentConfig> saved_config(const std::vector<std::filesystem::path>& checkpoints) {
  for (const std::filesystem::path& folder : checkpoints) {
    try {
      verify_file(folder, "config.yaml");
    } catch (const FormatError&) {
      continue;
    } catch (const IoError&) {
      continue;
    }
    return load_experiment_config(folder / "config.yaml");
  }
  return std::nullopt;
}

}  // namespace

void check_run_folder(const ExperimentConfig& config) {
  const auto checkpoints = CheckpointStore(config.run.dir).complete();
  if (checkpoints.empty()) return;
  if (config.checkpoint.resume == ResumeMode::never) {
    throw ConfigError(str("the folder holds checkpoints already, the newest ", checkpoints.front().filename().string()),
                      "run.dir " + config.run.dir, "use another run.dir, or checkpoint.resume=auto");
  }
  const std::optional<ExperimentConfig> saved = saved_config(checkpoints);
  if (!saved) return;
  std::vector<std::string> differences = compare_configs(*saved, config);
  std::erase_if(differences, is_free);
  if (!differences.empty()) {
    throw ConfigError(str("the run there has another configuration: ", join(differences, "; ")),
                      "run.dir " + config.run.dir, "use another run.dir, or the same configuration");
  }
}

bool is_finished(const ExperimentConfig& config) {
  const std::optional<FinishedMark> mark = read_finished_mark({config.run.dir});
  if (!mark) return false;
  const std::int64_t wanted = config.run.max_steps > 0 ? config.run.max_steps : mark->total_steps;
  return mark->step >= std::min(wanted, mark->total_steps);
}

}  // namespace shine
