#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/config/trained_sizes.h"
#include "app/evaluate/evaluation_inputs.h"
#include "app/train/rank.h"
#include "common/stop_signals.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"

namespace shine {

/// The command line that the programs shine_test_* share: a YAML file, overrides, and flags that stand for evaluation.*
/// keys.
class EvaluationCommand {
 public:
  explicit EvaluationCommand(CLI::App& app) {
    app.add_option("config", config_, "YAML file, the same as for training")->required();
    app.add_option("overrides", overrides_, "key.path=value, e.g. evaluation.batch_size=16");
    app.add_option("--checkpoint", checkpoint_,
                   "run folder, checkpoint or published folder (evaluation.checkpoint); without: run.dir");
    app.add_option("--data", data_, "file to test on; may be repeated (evaluation.data)")->allow_extra_args(false);
    app.add_option("--baselines", baselines_, "naive,in_context,sft,shine,shuffled (evaluation.baselines)")
        ->delimiter(',')
        ->allow_extra_args(false);
    app.add_option("--limit", limit_,
                   "contexts (mqa), questions (1qa) or documents of a bucket (pretrain) to test; 0 = all "
                   "(evaluation.limit)");
    app.add_option("--output", output_, "folder for results (evaluation.output)");
    app.add_flag("--resume", resume_, "go on with the results in the folder");
  }

  bool resume() const { return resume_; }

  using Evaluation = std::function<EvaluationOutcome(const ExperimentConfig& config, Rank& rank)>;

  /// Runs an evaluation as a rank of its job: rank 0 prints the report and where the results are. Returns the exit
  /// status.
  int run(const Evaluation& evaluate) const {
    return run_rank([this] { return load(); },
                    [&](const ExperimentConfig& config, Rank& rank) {
                      const EvaluationOutcome outcome = evaluate(config, rank);
                      if (rank.is_first()) {
                        std::printf("%s\nresults: %s\n", outcome.report.c_str(), outcome.folder.c_str());
                      }
                      if (outcome.stopped_by.empty()) return 0;
                      log_warning("stopped by " + outcome.stopped_by + ": run the same command with --resume to go on");
                      return kExitStopped;
                    });
  }

 private:
  /// The configuration with the flags' values, its log level set. Throws what load_experiment_config and
  /// check_test_inputs throw.
  ExperimentConfig load() const {
    std::vector<std::string> overrides = overrides_;
    const auto text = [](const std::string& value) {
      return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    };
    const auto list = [&](const std::vector<std::string>& values) {
      std::vector<std::string> quoted;
      for (const std::string& value : values) quoted.push_back(text(value));
      return "[" + join(quoted, ", ") + "]";
    };
    if (checkpoint_) overrides.push_back("evaluation.checkpoint=" + text(*checkpoint_));
    if (!data_.empty()) overrides.push_back("evaluation.data=" + list(data_));
    if (!baselines_.empty()) overrides.push_back("evaluation.baselines=" + list(baselines_));
    if (limit_) overrides.push_back(str("evaluation.limit=", *limit_));
    if (output_) overrides.push_back("evaluation.output=" + text(*output_));
    ConfigOrigins origins;
    ExperimentConfig config = load_experiment_config(config_, overrides, &origins, ConfigUse::test);
    set_log_level(config.logging.level);
    log_trained_sizes(take_trained_sizes(config, origins, ConfigUse::test));
    check_test_inputs(config);
    return config;
  }

  std::string config_;
  std::vector<std::string> overrides_, data_, baselines_;
  std::optional<std::string> checkpoint_, output_;
  std::optional<std::int64_t> limit_;
  bool resume_ = false;
};

}  // namespace shine
