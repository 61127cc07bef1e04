#include "app/evaluate/results_folder.h"

#include <nlohmann/json.hpp>

#include "config/config_io.h"
#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

bool has_content(const fs::path& file) {
  std::error_code absent;
  const auto size = fs::file_size(file, absent);
  return !absent && size > 0;
}

}  // namespace

ResultsFolder::ResultsFolder(const fs::path& folder, const EvaluationIdentity& identity,
                             const std::string& results_name, bool resume)
    : folder_(folder) {
  make_folder(folder, "evaluation.output", "choose another one");
  lock_.emplace(RunFolder{folder}, "evaluation.output", "another process tests in this folder");
  goes_on_ = has_content(file(results_name));
  if (goes_on_ && !resume) {
    throw ConfigError(str("the folder holds results already, in ", results_name),
                      "evaluation.output " + folder.string(), "--resume goes on with them; or choose another --output");
  }
  if (goes_on_) check_same_evaluation(identity);
  const nlohmann::ordered_json test{{"program", identity.program}, {"fingerprints", identity.fingerprints}};
  write_file_atomically(file("test.json"), test.dump(2) + "\n");
  write_file_atomically(file("config.yaml"), experiment_yaml(identity.config));
}

void ResultsFolder::check_same_evaluation(const EvaluationIdentity& identity) const {
  const fs::path file_of_test = file("test.json");
  const std::string where = file_of_test.string();
  const nlohmann::json saved = read_json_file(file_of_test);
  std::vector<std::string> differences;
  const std::string& program = get_string(saved, "program", where);
  if (program != identity.program) differences.push_back(str("program: ", program, " -> ", identity.program));
  const nlohmann::json& fingerprints = get_object(saved, "fingerprints", where);
  for (const auto& [name, value] : identity.fingerprints) {
    if (get_string_or(fingerprints, name, "", where) != value) differences.push_back("content of " + name);
  }
  const ExperimentConfig before = load_experiment_config(file("config.yaml"), {}, nullptr, ConfigUse::test);
  const auto keys =
      compare_configs(before, identity.config, [](const Field& field) { return field.traits.fixed_in_test(); });
  differences.insert(differences.end(), keys.begin(), keys.end());
  if (differences.empty()) return;
  throw ConfigError(str("the results there are of another test: ", join(differences, "; ")),
                    "evaluation.output " + folder_.string(), "choose another --output, or use the same options");
}

fs::path results_path(const ExperimentConfig& config, const std::string& test) {
  if (!config.evaluation.output.empty()) return config.evaluation.output;
  return fs::path(config.run.dir) / "evaluation" / (test + "-" + data_set_name(config, test));
}

std::string data_set_name(const ExperimentConfig& config, const std::string& test) {
  const EvaluationConfig& evaluation = config.evaluation;
  const std::string name =
      evaluation.data_set.empty() ? fs::path(evaluation.data.front()).stem().string() : evaluation.data_set;
  return test == "1qa" && evaluation.group_tokens > 0 ? str(name, "-", evaluation.group_tokens) : name;
}

}  // namespace shine
