#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/data_config.h"
#include "shine/config/evaluation_config.h"
#include "shine/config/hypernetwork_config.h"
#include "shine/config/ops_config.h"
#include "shine/config/optimizer_config.h"
#include "shine/config/run_config.h"
#include "shine/config/validation_config.h"

namespace shine {

struct ConfigOrigins;

/// What a configuration is read for. test: the test programs, which need model.path and evaluation.data, while the
/// training data may be missing. model: programs that need model.path alone.
enum class ConfigUse { train, test, model };

/// One training run. Defaults are the paper's pretraining (appendix, table of hyperparameters) but for
/// optimizer.accumulation, which is that of one of its 8 GPUs: configs/base/pretrain.yaml has the whole step.
struct SHINE_API ExperimentConfig {
  RunConfig run;
  BackboneConfig model;
  OpsConfig ops;
  TextConfig text;
  HypernetworkConfig hypernetwork;
  StageConfig stage;
  DataConfig data;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  CheckpointConfig checkpoint;
  ValidationConfig validation;
  EvaluationConfig evaluation;
  LoggingConfig logging;

  bool operator==(const ExperimentConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("run", run, "the run: folder, seed, device, length");
    v("model", model, "the frozen language model");
    v("ops", ops, "forms of the operations", kChangesLastBits);
    v("text", text, "tokenizer and lengths");
    v("hypernetwork", hypernetwork, "what turns a context into a LoRA", unused_in(StageName::backbone));
    v("stage", stage, "training stage and its task");
    v("data", data, "training and validation texts", kTrainingOnly);
    v("optimizer", optimizer, "AdamW, clipping, step size", kTrainingOnly);
    v("schedule", schedule, "learning rate over the steps", kTrainingOnly);
    v("checkpoint", checkpoint, "saving and resuming", kTrainingOnly, kMayChange);
    v("validation", validation, "validation during training", kTrainingOnly, kMayChange,
      UnusedRule{{{"data.validation", {"[]"}}, {"data.validation_share", {"0"}}}, "without validation texts"});
    v("evaluation", evaluation, "the test programs", kTestsOnly);
    v("logging", logging, "messages and metrics", kMayChange, kShapesNoAnswer);
  }

  /// Checks the rules between keys; ranges of single keys are checked while reading.
  /// Throws ConfigError with all faults.
  void validate(ConfigUse use = ConfigUse::train) const;
};

/// Reads a YAML file (with its `base` files) and `key.path=value` overrides; an empty text.tokenizer becomes
/// model.path, data.over_long `auto` where it is what that stands for, and evaluation.data_set is dropped where a later
/// layer sets evaluation.data: it named other files. To set a key without effect (UnusedKey) is a fault, unless one of
/// its causes was set in a later layer (see ConfigOrigins::layer): overrides and derived files may turn off what they
/// inherit, which goes back to its default. In a file that a program saved, the config.yaml in a folder of a run, a
/// checkpoint or results, keys may have their former names. Throws ConfigError that lists all faults with their places,
/// IoError for a file that cannot be read.
/// @param origins  if given, receives the place that set each key
SHINE_API ExperimentConfig load_experiment_config(const std::filesystem::path& file,
                                                  const std::vector<std::string>& overrides = {},
                                                  ConfigOrigins* origins = nullptr, ConfigUse use = ConfigUse::train);

/// Whether the stage trains on contexts with questions, not on texts.
SHINE_API bool reads_questions(const ExperimentConfig& config);

/// True where run.dir holds a checkpoint: the run has its weights there, and stage.init_from is not read.
SHINE_API bool has_checkpoint(const ExperimentConfig& config);

/// Throws ConfigError that lists every file or folder the configuration names and that does not exist or cannot be
/// read, a backbone's folder without config.json among them, and what find_weights throws for stage.init_from.
SHINE_API void check_inputs(const ExperimentConfig& config);

/// Throws ConfigError where the folder of the backbone is missing or has no config.json; says which files it needs.
SHINE_API void check_backbone(const ExperimentConfig& config);

/// The same as check_inputs for a program that needs backbone and tokenizer alone.
SHINE_API void check_model_inputs(const ExperimentConfig& config);

/// The same as check_inputs for a test program: backbone, tokenizer and evaluation.data.
SHINE_API void check_test_inputs(const ExperimentConfig& config);

/// Throws ConfigError where run.dir is no folder that can be made or written in. Makes nothing.
SHINE_API void check_run_place(const ExperimentConfig& config);

/// The files of the backbone that are not there yet, of those that training needs beside config.json: "the weights
/// (*.safetensors)", "a tokenizer (tokenizer.json or tokenizer.model)".
SHINE_API std::vector<std::string> missing_model_files(const ExperimentConfig& config);

/// The resolved configuration, without keys that have no effect, as YAML that load_experiment_config reads back to an
/// equal one.
SHINE_API std::string experiment_yaml(const ExperimentConfig& config);

}  // namespace shine
