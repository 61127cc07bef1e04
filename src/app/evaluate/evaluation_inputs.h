#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/report/report.h"
#include "shine/app/experiment_config.h"
#include "shine/checkpoint/weights_source.h"

namespace shine {

/// The outcome of an evaluation.
struct EvaluationOutcome {
  std::filesystem::path folder;
  std::string stopped_by;  ///< the signal; the report then covers what was done
  std::string report;      ///< Markdown; empty on ranks above 0
};

/// The methods of evaluation.baselines, in order, each once. Throws ConfigError where there are none.
std::vector<Method> evaluated_methods(const EvaluationConfig& evaluation);

/// The weights that an evaluation needs: of evaluation.checkpoint, else of run.dir. Throws IoError where there is no
/// such folder, and what find_weights throws.
/// @param cure  what else a user can do if there is none, for the error
WeightsSource find_evaluated_weights(const ExperimentConfig& config, const std::string& cure);

/// Hashes of what an evaluation reads, by name: "data" (as given), "backbone" (the files of model.path), "checkpoint"
/// (names, types, shapes and samples of all values of the weights; "none" without weights).
std::map<std::string, std::string> content_fingerprints(const ExperimentConfig& config, std::uint64_t data,
                                                        const std::optional<WeightsSource>& weights);

/// What tables call the evaluation: evaluation.model or the backbone's folder, the data set, the checkpoint (empty
/// without weights) and the training seed, which is that of the checkpoint's own config.yaml where it has one. Throws
/// what load_experiment_config throws.
/// @param test  "mqa", "1qa" or "pretrain"
ReportLabels report_labels(const ExperimentConfig& config, const std::string& test,
                           const std::optional<WeightsSource>& weights);

}  // namespace shine
