#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shine/app/experiment_config.h"
#include "shine/checkpoint/weights_source.h"
#include "shine/common/api.h"
#include "shine/decoder/decoder.h"
#include "shine/hypernetwork/hypernetwork.h"
#include "shine/text/chat_format.h"
#include "shine/text/tokenizer.h"

namespace shine {

struct Stage;

/// Everything one configuration stands for, built in order: tokenizer, decoder, hypernetwork, stage.
/// The only place that knows every part.
struct Experiment {
  ExperimentConfig config;
  at::Device device = at::kCPU;
  std::shared_ptr<Tokenizer> tokenizer;
  ChatFormat chat_format = chatml_format();
  std::unique_ptr<Decoder> decoder;
  std::vector<std::int64_t> end_tokens;        ///< ids that end an answer of the backbone, by its own files
  std::unique_ptr<Hypernetwork> hypernetwork;  ///< absent in stage backbone and after build_language_model
  std::shared_ptr<Stage> stage;                ///< absent before build_experiment
};

/// Tokenizer and decoder alone. Throws what loading them throws.
SHINE_API Experiment build_language_model(const ExperimentConfig& config);

/// Tokenizer, decoder and hypernetwork, loaded or made, without a stage. Throws what they throw.
/// @param weights  the hypernetwork's, with the second Meta-LoRA they hold, if any; without, they are what the stage
///                 starts from: those of stage.init_from, whose second Meta-LoRA is joined to the first, or new ones
SHINE_API Experiment build_model(const ExperimentConfig& config, const std::optional<WeightsSource>& weights = {});

/// build_model and the stage.
SHINE_API Experiment build_experiment(const ExperimentConfig& config);

/// Sizes and memory that a configuration leads to.
struct ExperimentDescription {
  std::string text;         ///< lines for the user
  double device_bytes = 0;  ///< estimated, on run.device
  double main_bytes = 0;    ///< estimated, in main memory; part of device_bytes where the device is the CPU
};

/// Made from the backbone's config.json alone, without its weights.
/// Throws ConfigError, UnsupportedError or IoError for a model that cannot be built.
SHINE_API ExperimentDescription describe_experiment(const ExperimentConfig& config);

/// What to lower where memory does not suffice, for error messages.
inline constexpr const char* kMemoryCure =
    "lower optimizer.batch_size, text.context_max_length or text.conversation_max_length, or set "
    "model.activation_memory, model.recompute=true, "
    "model.dtype=bfloat16 or checkpoint.background=false";

/// Warns where the estimate is above what is free.
/// @param processes  that train on this machine, each by itself
SHINE_API void warn_about_memory(const ExperimentDescription& description, at::Device device, int processes = 1);

/// Writes the decoder as a Hugging Face directory: config.json, model.safetensors and the tokenizer's files.
SHINE_API void export_decoder(const Experiment& experiment, const std::filesystem::path& directory);

/// Refuses to mix runs: throws ConfigError where run.dir holds checkpoints of a configuration that differs in anything
/// that changes the numbers (all differences are listed), where it holds any and checkpoint.resume is `never`, and
/// where it is finished and holds none.
/// @param allow_changes  a configuration that differs is a warning that lists all differences
SHINE_API void check_run_folder(const ExperimentConfig& config, bool allow_changes = false);

/// True where run.dir has been trained to the end that the configuration asks for and the checkpoint of that end is
/// intact; a damaged one is a warning, and the run has to go on from the one before.
SHINE_API bool is_finished(const ExperimentConfig& config);

}  // namespace shine
