#include "app/evaluate/evaluation_inputs.h"

#include <algorithm>
#include <filesystem>

#include "app/adapt/adapter_identity.h"
#include "app/evaluate/results_folder.h"
#include "common/format.h"
#include "config/enum_value.h"
#include "shine/common/error.h"

namespace shine {
namespace {

std::string model_name(const ExperimentConfig& config) {
  if (!config.evaluation.model.empty()) return config.evaluation.model;
  std::filesystem::path folder = std::filesystem::path(config.model.path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "a/b/"
  return folder.filename().string();
}

}  // namespace

std::vector<Method> evaluated_methods(const EvaluationConfig& evaluation) {
  SHINE_CHECK(!evaluation.baselines.empty(), ConfigError, "evaluation.baselines: name at least one method");
  std::vector<Method> methods;
  for (const std::string& name : evaluation.baselines) {
    const Method method = enum_value<Method>(name).value();
    if (std::find(methods.begin(), methods.end(), method) == methods.end()) methods.push_back(method);
  }
  return methods;
}

WeightsSource find_evaluated_weights(const ExperimentConfig& config, const std::string& cure) {
  const bool named = !config.evaluation.checkpoint.empty();
  const std::string path = named ? config.evaluation.checkpoint : config.run.dir;
  if (!std::filesystem::exists(path)) {
    throw IoError("no such folder, and trained weights are needed",
                  str(named ? "evaluation.checkpoint " : "run.dir ", path), cure);
  }
  return find_weights(path, config.stage.allow_unfinished);
}

std::map<std::string, std::string> content_fingerprints(const ExperimentConfig& config, std::uint64_t data,
                                                        const std::optional<WeightsSource>& weights) {
  return {{"data", hex_digits(data)},
          {"backbone", backbone_fingerprint(config.model.path)},
          {"checkpoint", weights ? weights_fingerprint(*weights) : "none"}};
}

ReportLabels report_labels(const ExperimentConfig& config, const std::string& test,
                           const std::optional<WeightsSource>& weights) {
  ReportLabels labels{model_name(config), data_set_name(config, test), "", config.run.seed};
  if (!weights) return labels;
  labels.checkpoint = weights->folder.string();
  const std::filesystem::path own = weights->folder / "config.yaml";
  if (std::filesystem::exists(own)) labels.seed = load_experiment_config(own).run.seed;
  return labels;
}

}  // namespace shine
