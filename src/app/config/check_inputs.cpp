#include <filesystem>

#include "checkpoint/checkpoint_store.h"
#include "config/faults.h"
#include "shine/app/experiment_config.h"
#include "shine/checkpoint/weights_source.h"
#include "shine/common/str.h"

namespace shine {
namespace {

void require(const std::string& key, const std::filesystem::path& path, Faults& faults) {
  std::error_code unreadable;
  if (path.empty() || std::filesystem::exists(path, unreadable)) return;
  faults.add(key, str("no such file or folder: ", path.string(),
                      " (correct the path; a relative one starts at the current folder)"));
}

/// Training texts are files, not folders or devices.
void require_files(const std::string& key, const std::vector<std::string>& paths, Faults& faults) {
  for (const std::string& path : paths) {
    require(key, path, faults);
    std::error_code unreadable;
    if (std::filesystem::exists(path, unreadable) && !std::filesystem::is_regular_file(path, unreadable)) {
      faults.add(key, str("not a file: ", path, " (name .txt or .jsonl files)"));
    }
  }
}

}  // namespace

bool has_checkpoint(const ExperimentConfig& config) {
  return !CheckpointStore(config.run.dir).complete().empty();
}

void check_inputs(const ExperimentConfig& config) {
  Faults faults;
  require("model.path", config.model.path, faults);
  require("model.config", config.model.config, faults);
  if (config.text.tokenizer != config.model.path) require("text.tokenizer", config.text.tokenizer, faults);
  const bool starts = !has_checkpoint(config);
  if (starts) require("stage.init_from", config.stage.init_from, faults);
  require_files("data.train", config.data.train, faults);
  require_files("data.validation", config.data.validation, faults);
  faults.throw_if_any("the paths");
  if (starts && !config.stage.init_from.empty()) find_weights(config.stage.init_from, config.stage.allow_unfinished);
}

void check_test_inputs(const ExperimentConfig& config) {
  Faults faults;
  require("model.path", config.model.path, faults);
  if (config.text.tokenizer != config.model.path) require("text.tokenizer", config.text.tokenizer, faults);
  require_files("evaluation.data", config.evaluation.data, faults);
  faults.throw_if_any("the paths");
}

}  // namespace shine
