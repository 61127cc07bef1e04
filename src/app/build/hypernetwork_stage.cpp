#include "app/build/hypernetwork_stage.h"

#include <algorithm>
#include <map>

#include "app/build/meta_lora_start.h"
#include "app/build/meta_lora_weights.h"
#include "app/config/trained_sizes.h"
#include "data/qa/shifted_contexts.h"
#include "io/safetensors/model_files.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"
#include "shine/text/special_tokens.h"
#include "shine/train/objective.h"

namespace shine {
namespace {

HypernetworkOptions hypernetwork_options(const ExperimentConfig& config, std::int64_t new_tokens) {
  HypernetworkOptions options;
  options.config = config.hypernetwork;
  options.new_tokens = new_tokens;
  options.train_new_tokens = config.stage.train_new_tokens;
  options.extra_meta_lora_rank = std::max<std::int64_t>(0, config.stage.extra_meta_lora_rank);
  options.train_meta_lora = config.stage.extra_meta_lora_rank < 0;
  options.recompute = config.model.recompute;
  return options;
}

/// Calls `use`, which throws ShapeError where tensors and sizes do not fit; the error then names the keys to copy.
template <class Use>
void name_sizes_to_copy(const ExperimentConfig& config, ConfigUse use_of, const WeightsSource& weights,
                        const Use& use) {
  try {
    use();
  } catch (const ShapeError& fault) {
    throw ShapeError(str(fault.what(), sizes_to_copy(config, use_of, weights.folder)));
  }
}

/// With the second Meta-LoRA that the weights hold, if any.
std::unique_ptr<Hypernetwork> load_hypernetwork(const ExperimentConfig& config, Decoder& decoder,
                                                HypernetworkOptions options, const WeightsSource& weights) {
  RawTensorDict tensors = read_weights(weights);
  options.extra_meta_lora_rank = extra_meta_lora_rank(tensors);
  auto hypernetwork = std::make_unique<Hypernetwork>(decoder, std::move(options));
  name_sizes_to_copy(config, ConfigUse::test, weights,
                     [&] { hypernetwork->load(std::move(tensors), weights.folder.string()); });
  return hypernetwork;
}

/// Those of stage.init_from as a stage begins with them.
RawTensorDict first_weights(const ExperimentConfig& config, const Hypernetwork& hypernetwork,
                            const WeightsSource& source) {
  RawTensorDict tensors = read_weights(source);
  join_extra_meta_lora(tensors, config.hypernetwork.meta_lora_rank, source.folder.string());
  keep_new_extra_meta_lora(tensors, hypernetwork);
  return tensors;
}

/// With the weights of stage.init_from, a second Meta-LoRA merged into the first, or with new ones, the Meta-LoRA that
/// of stage.meta_lora_from.
std::unique_ptr<Hypernetwork> start_hypernetwork(const ExperimentConfig& config, Decoder& decoder,
                                                 HypernetworkOptions options) {
  auto hypernetwork = std::make_unique<Hypernetwork>(decoder, std::move(options));
  hypernetwork->initialise(static_cast<std::uint64_t>(config.run.seed));
  if (has_checkpoint(config)) return hypernetwork;
  if (!config.stage.meta_lora_from.empty()) {
    start_meta_lora(*hypernetwork, read_meta_lora_start(config));
    log_info("the Meta-LoRA starts as " + config.stage.meta_lora_from);
  }
  if (config.stage.init_from.empty()) return hypernetwork;
  const WeightsSource source = find_weights(config.stage.init_from, config.stage.allow_unfinished);
  log_info("initial weights: " + source.note);
  RawTensorDict tensors = first_weights(config, *hypernetwork, source);
  name_sizes_to_copy(config, ConfigUse::train, source,
                     [&] { hypernetwork->load(std::move(tensors), source.folder.string()); });
  return hypernetwork;
}

/// Embedding rows for added tokens, as far as the tokenizer exists to tell.
std::int64_t expected_new_tokens(const ExperimentConfig& config, const Decoder& decoder) {
  if (!has_tokenizer(config.text.tokenizer)) return 0;
  const auto tokenizer = load_tokenizer(config.text.tokenizer);
  add_task_tokens(*tokenizer);
  return missing_rows(decoder, *tokenizer);
}

}  // namespace

std::filesystem::path HypernetworkStage::decoder_config() const {
  return std::filesystem::path(config_.model.path) / "config.json";
}

void HypernetworkStage::add_tokens(Tokenizer& tokenizer) const {
  add_task_tokens(tokenizer);
}

void HypernetworkStage::fill(Decoder& decoder) const {
  load_decoder(decoder, config_.model.path);
  decoder.prepare();
}

void HypernetworkStage::complete(Experiment& experiment, const std::optional<WeightsSource>& weights) const {
  Decoder& decoder = *experiment.decoder;
  const std::int64_t new_tokens = missing_rows(decoder, *experiment.tokenizer);
  HypernetworkOptions options = hypernetwork_options(config_, new_tokens);
  if (weights) {
    experiment.hypernetwork = load_hypernetwork(config_, decoder, std::move(options), *weights);
    return;
  }
  experiment.hypernetwork = start_hypernetwork(config_, decoder, std::move(options));
  if (new_tokens > 0) log_info(str(new_tokens, " added tokens have no embedding row: made from the mean of all rows"));
}

void HypernetworkStage::check_weights(Decoder& decoder, const WeightsSource& weights) const {
  if (!has_tokenizer(config_.text.tokenizer)) return;  // without it the number of added rows is not known
  const std::int64_t new_tokens = expected_new_tokens(config_, decoder);
  const Hypernetwork hypernetwork(decoder, hypernetwork_options(config_, new_tokens));
  RawTensorDict tensors = first_weights(config_, hypernetwork, weights);
  name_sizes_to_copy(config_, ConfigUse::train, weights,
                     [&] { hypernetwork.check(std::move(tensors), weights.folder.string()); });
}

TrainedParts HypernetworkStage::describe(Decoder& decoder) const {
  const Hypernetwork hypernetwork(decoder, hypernetwork_options(config_, expected_new_tokens(config_, decoder)));
  const M2pShape& shape = hypernetwork.shape();
  TrainedParts trained;
  std::map<std::string, std::int64_t> parts;
  for (const TrainedParameter& named : hypernetwork.trained()) {
    parts[named.name.substr(0, named.name.find('.'))] += named.tensor.numel();
    trained.parameters += named.tensor.numel();
  }
  trained.memory_tokens = hypernetwork.memory_tokens();
  trained.text = str("generated LoRA: rank ", shape.rank, ", ", shape.spec.numel_per_layer(shape.rank),
                     " values a layer, ", shape.spec.numel_per_layer(shape.rank) * shape.spec.layers, " in all\n",
                     "memory tokens: ", trained.memory_tokens, "\n");
  for (const auto& [name, numel] : parts) trained.text += str("trained ", name, ": ", numel, " parameters\n");
  return trained;
}

Stage HypernetworkStage::stage_of(const Experiment& experiment) const {
  const auto* hypernetwork = experiment.hypernetwork.get();
  Stage stage;
  stage.frozen_fingerprint = ModelFiles(config_.model.path).fingerprint();
  stage.objective = std::make_shared<ShineObjective>(*hypernetwork, config_.stage.adapter_reg > 0);
  stage.penalty = {config_.stage.adapter_reg, config_.stage.adapter_reg_form};
  stage.weights = [hypernetwork] { return hypernetwork->tensors(); };
  return stage;
}

void add_controls(const Experiment& experiment, const std::shared_ptr<const Dataset>& dataset, const char* shifted_name,
                  Stage& stage) {
  if (dataset->size() == 1) {
    log_warning(str("the validation data make one sample: the control \"", shifted_name,
                    "\" and the comparison of generated LoRAs, which need two, are left out (",
                    experiment.config.data.validation.empty() ? "raise data.validation_share, or name data.validation"
                                                              : "name more or longer texts in data.validation",
                    ")"));
  }
  if (dataset->size() > 1) {
    stage.validation.push_back({shifted_name, std::make_shared<ShiftedContexts>(dataset), stage.objective});
  }
  stage.validation.push_back({"no LoRA", dataset, std::make_shared<LanguageModelObjective>(*experiment.decoder)});
}

}  // namespace shine
