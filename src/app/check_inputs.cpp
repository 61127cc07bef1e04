#include <filesystem>

#include "shine/app/experiment_config.h"
#include "shine/common/str.h"

namespace shine {
namespace {

void require(const std::string& key, const std::filesystem::path& path, Faults& faults) {
  std::error_code unreadable;
  if (path.empty() || std::filesystem::exists(path, unreadable)) return;
  faults.add(key, str("no such file or folder: ", path.string(),
                      " (correct the path; a relative one starts at the current folder)"));
}

}  // namespace

void check_inputs(const ExperimentConfig& config) {
  Faults faults;
  require("model.path", config.model.path, faults);
  require("model.config", config.model.config, faults);
  if (config.text.tokenizer != config.model.path) require("text.tokenizer", config.text.tokenizer, faults);
  require("stage.init_from", config.stage.init_from, faults);
  for (const std::string& file : config.data.train) require("data.train", file, faults);
  for (const std::string& file : config.data.validation) require("data.validation", file, faults);
  faults.throw_if_any("the paths");
}

}  // namespace shine
