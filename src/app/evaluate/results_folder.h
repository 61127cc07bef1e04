#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "checkpoint/run_folder.h"
#include "shine/app/experiment_config.h"

namespace shine {

/// What results were made from: two parts of one evaluation must agree in it.
struct EvaluationIdentity {
  std::string program;  ///< "shine_test_mqa"
  ExperimentConfig config;
  std::map<std::string, std::string> fingerprints;  ///< "data", "backbone", "checkpoint"
};

/// The folder that an evaluation writes: config.yaml (resolved), test.json (program and fingerprints), log.txt and the
/// program's results. One process at a time.
class ResultsFolder {
 public:
  /// Makes the folder and writes config.yaml and test.json. A folder that holds results (a file `results_name` with
  /// anything in it) is accepted only with `resume` and equal configuration (except keys that shape no answer) and
  /// fingerprints; ConfigError otherwise, naming what differs. Throws IoError where another process works in
  /// it or it cannot be written.
  ResultsFolder(const std::filesystem::path& folder, const EvaluationIdentity& identity,
                const std::string& results_name, bool resume);

  const std::filesystem::path& path() const { return folder_; }
  std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  /// True if there are results to continue from.
  bool goes_on() const { return goes_on_; }

 private:
  void check_same_evaluation(const EvaluationIdentity& identity) const;

  std::filesystem::path folder_;
  std::optional<RunLock> lock_;
  bool goes_on_ = false;
};

/// The folder that the configuration asks for: evaluation.output, or run.dir/evaluation/TEST-DATA_SET.
/// @param test  "mqa", "1qa" or "pretrain"
std::filesystem::path results_path(const ExperimentConfig& config, const std::string& test);

/// evaluation.data_set, or the name of the first file of evaluation.data without its extension; behind it
/// "-512" where test 1qa joins contexts to 512 tokens: each length is a data set of its own.
std::string data_set_name(const ExperimentConfig& config, const std::string& test);

}  // namespace shine
