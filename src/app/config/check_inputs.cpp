#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "checkpoint/checkpoint_store.h"
#include "config/faults.h"
#include "shine/app/experiment_config.h"
#include "shine/checkpoint/weights_source.h"
#include "shine/common/error.h"
#include "shine/common/str.h"
#include "shine/text/tokenizer.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPathCure = " (correct the path; a relative one starts at the current folder)";

bool is_there(const fs::path& path) {
  std::error_code unreadable;
  return fs::exists(path, unreadable);
}

void require(const std::string& key, const fs::path& path, Faults& faults) {
  if (path.empty() || is_there(path)) return;
  faults.add(key, str("no such file or folder: ", path.string(), kPathCure));
}

/// Training texts are files, not folders or devices.
void require_files(const std::string& key, const std::vector<std::string>& paths, Faults& faults) {
  for (const std::string& path : paths) {
    require(key, path, faults);
    if (!is_there(path)) continue;
    std::error_code unreadable;
    if (!fs::is_regular_file(path, unreadable)) {
      faults.add(key, str("not a file: ", path, " (name .txt or .jsonl files)"));
    } else if (::access(path.c_str(), R_OK) != 0) {
      faults.add(key, str("cannot be read: ", path, " (make it readable)"));
    }
  }
}

/// The repository of the model that a folder is named after; of Qwen3-0.6B for another name.
std::string repository_of(const std::string& folder) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> owners{{{"Qwen", "Qwen"},
                                                                                 {"Llama-", "meta-llama"},
                                                                                 {"Mistral-", "mistralai"},
                                                                                 {"SmolLM", "HuggingFaceTB"},
                                                                                 {"OLMo-", "allenai"}}};
  for (const auto& [start, owner] : owners) {
    if (folder.starts_with(start)) return str(owner, "/", folder);
  }
  return "Qwen/Qwen3-0.6B";
}

void require_backbone(const std::string& path, Faults& faults) {
  if (path.empty() || is_there(fs::path(path) / "config.json")) return;
  fs::path folder = fs::path(path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "a/b/"
  const std::string name = folder.filename().string();
  const std::string fault = is_there(path) ? str("no config.json in ", path) : str("no such file or folder: ", path);
  faults.add("model.path",
             str(fault,
                 " (needed: config.json, tokenizer.json or tokenizer.model, and the weights, *.safetensors, as "
                 "in the model's repository at huggingface.co: `hf download ",
                 repository_of(name), " --local-dir ", path,
                 "`, or name a folder that holds them; a relative path starts at the current folder)"));
}

void require_model(const ExperimentConfig& config, Faults& faults) {
  require_backbone(config.model.path, faults);
  if (config.text.tokenizer != config.model.path) require("text.tokenizer", config.text.tokenizer, faults);
}

}  // namespace

bool has_checkpoint(const ExperimentConfig& config) {
  return !CheckpointStore(config.run.dir).complete().empty();
}

void check_backbone(const ExperimentConfig& config) {
  Faults faults;
  require_backbone(config.model.path, faults);
  require("model.config", config.model.config, faults);
  faults.throw_if_any("the paths");
}

void check_inputs(const ExperimentConfig& config) {
  Faults faults;
  require_backbone(config.model.path, faults);
  require("model.config", config.model.config, faults);
  if (config.text.tokenizer != config.model.path) require("text.tokenizer", config.text.tokenizer, faults);
  const bool starts = !has_checkpoint(config);
  if (starts) {
    require("stage.init_from", config.stage.init_from, faults);
    require("stage.meta_lora_from", config.stage.meta_lora_from, faults);
  }
  require_files("data.train", config.data.train, faults);
  require_files("data.validation", config.data.validation, faults);
  faults.throw_if_any("the paths");
  if (starts && !config.stage.init_from.empty()) find_weights(config.stage.init_from, config.stage.allow_unfinished);
}

void check_model_inputs(const ExperimentConfig& config) {
  Faults faults;
  require_model(config, faults);
  faults.throw_if_any("the paths");
}

void check_test_inputs(const ExperimentConfig& config) {
  Faults faults;
  require_model(config, faults);
  require_files("evaluation.data", config.evaluation.data, faults);
  faults.throw_if_any("the paths");
}

void check_run_place(const ExperimentConfig& config) {
  std::error_code unknown;
  fs::path place = fs::absolute(config.run.dir, unknown);
  while (place.has_relative_path() && !fs::exists(fs::symlink_status(place, unknown))) place = place.parent_path();
  const std::string where = "run.dir " + config.run.dir;
  if (!fs::is_directory(place, unknown)) {
    throw ConfigError(str(place.string(), " is no folder"), where, "choose another run.dir");
  }
  if (::access(place.c_str(), W_OK | X_OK) != 0) {
    throw ConfigError(str(place.string(), " cannot be written"), where,
                      "make it accessible, or choose another run.dir");
  }
}

std::vector<std::string> missing_model_files(const ExperimentConfig& config) {
  std::vector<std::string> missing;
  std::error_code unreadable;
  const auto entries = fs::directory_iterator(config.model.path, unreadable);
  const bool has_weights = std::any_of(begin(entries), end(entries), [](const fs::directory_entry& entry) {
    return entry.path().extension() == ".safetensors";
  });
  if (!config.model.path.empty() && !has_weights) missing.emplace_back("the weights (*.safetensors)");
  if (!has_tokenizer(config.text.tokenizer)) missing.emplace_back("a tokenizer (tokenizer.json or tokenizer.model)");
  return missing;
}

}  // namespace shine
