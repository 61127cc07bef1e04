#include <algorithm>
#include <array>
#include <optional>

#include "checkpoint/run_folder.h"
#include "io/files/atomic_folder.h"
#include "shine/app/builders.h"
#include "shine/checkpoint/checkpoint_store.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

/// Groups and keys that may change between two parts of one run.
constexpr auto kFreeKeys = std::to_array<std::string_view>(
    {"run.dir:", "run.device:", "run.threads:", "run.max_steps:", "run.max_minutes:", "run.deterministic:",
     "run.check_every:", "run.rank_timeout:", "optimizer.shard:", "optimizer.pass_tokens:", "logging.", "checkpoint.",
     "evaluation.", "model.attention:", "stage.allow_unfinished:", "model.recompute:", "ops.",
     "model.activation_memory:", "hypernetwork.cuda_graph:"});

/// Of those, what changes the last bits all the same.
constexpr auto kInexactKeys =
    std::to_array<std::string_view>({"model.attention:", "model.recompute:", "model.activation_memory:",
                                     "optimizer.shard:", "optimizer.pass_tokens:", "ops.", "hypernetwork.cuda_graph:"});

bool is_free(const std::string& difference, bool deterministic) {
  const auto named = [&](std::string_view key) { return difference.starts_with(key); };
  if (deterministic && std::any_of(kInexactKeys.begin(), kInexactKeys.end(), named)) return false;
  return std::any_of(kFreeKeys.begin(), kFreeKeys.end(), named);
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
  std::vector<std::string> differences = compare_configs(*saved, config);
  std::erase_if(differences, [&](const std::string& text) { return is_free(text, config.run.deterministic); });
  if (differences.empty()) return;
  const std::string change = str("the run there has another configuration: ", join(differences, "; "));
  if (!allow_changes) {
    throw ConfigError(change, "run.dir " + config.run.dir,
                      "use another run.dir, the same configuration, or --allow-changes");
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
