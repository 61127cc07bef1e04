#pragma once

#include <memory>
#include <string>

#include "shine/app/experiment_config.h"
#include "shine/models/decoder/decoder.h"
#include "shine/models/shine/hypernetwork.h"
#include "shine/text/tokenizer.h"
#include "shine/train/trainer.h"

namespace shine {

/// Everything one configuration stands for, built in order: tokenizer, decoder, hypernetwork, stage.
/// The only place that knows every part.
struct Experiment {
  ExperimentConfig config;
  at::Device device = at::kCPU;
  std::shared_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Hypernetwork> hypernetwork;  ///< absent in stage backbone
  Stage stage;
};

/// Loads or makes all parts. Throws what they throw.
Experiment build_experiment(const ExperimentConfig& config);

/// Sizes and memory that a configuration leads to, from the backbone's config.json alone, without its weights.
/// Throws ConfigError, UnsupportedError or IoError for a model that cannot be built.
std::string describe_experiment(const ExperimentConfig& config);

/// Writes the decoder as a Hugging Face directory: config.json, model.safetensors and the tokenizer's files.
void export_decoder(const Experiment& experiment, const std::filesystem::path& directory);

/// Refuses to mix runs: throws ConfigError where run.dir holds checkpoints of a configuration that differs in anything
/// that changes the numbers (all differences are listed), or where it holds any and checkpoint.resume is `never`.
void check_run_folder(const ExperimentConfig& config);

TrainerOptions trainer_options(const ExperimentConfig& config, at::Device device);

}  // namespace shine
