#include <algorithm>
#include <optional>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/run_folder.h"
#include "config/config_io.h"
#include "io/files/atomic_folder.h"
#include "shine/app/builders.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

/// The configuration of the newest checkpoint in which it is undamaged; resume skips a damaged one too.
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

void check_run_folder(const ExperimentConfig& config, bool allow_changes) {
  const auto checkpoints = CheckpointStore(config.run.dir).complete();
  if (checkpoints.empty()) {
    if (!read_finished_mark({config.run.dir})) return;
    throw ConfigError("the run was finished, and its checkpoints are gone", "run.dir " + config.run.dir,
                      "restore its folder checkpoints, or use another run.dir");
  }
  if (config.checkpoint.resume == ResumeMode::never) {
    throw ConfigError(str("the folder holds checkpoints already, the newest ", checkpoints.front().filename().string()),
                      "run.dir " + config.run.dir, "use another run.dir, or checkpoint.resume=auto");
  }
  const std::optional<ExperimentConfig> saved = saved_config(checkpoints);
  if (!saved) return;
  const std::vector<std::string> differences = compare_configs(
      *saved, config, [&](const Field& field) { return field.traits.fixed_in_run(config.run.deterministic); });
  if (differences.empty()) return;
  const std::string change = str("the run there has another configuration: ", join(differences, "; "));
  if (!allow_changes) {
    throw ConfigError(
        change, "run.dir " + config.run.dir,
        "use another run.dir (with the launch scripts: RUN=NAME), the same configuration, or shine_train's "
        "--allow-changes");
  }
  log_warning(str("run.dir ", config.run.dir, ": ", change));
}

bool is_finished(const ExperimentConfig& config) {
  const std::optional<FinishedMark> mark = read_finished_mark({config.run.dir});
  if (!mark) return false;
  const std::int64_t wanted = config.run.max_steps > 0 ? config.run.max_steps : mark->total_steps;
  if (mark->step < std::min(wanted, mark->total_steps)) return false;
  try {
    verify_folder(CheckpointStore(config.run.dir).folder_of(mark->step));
  } catch (const Error& damage) {
    log_warning(str("the run was finished, and its last checkpoint is lost: ", damage.what()));
    return false;
  }
  return true;
}

}  // namespace shine
