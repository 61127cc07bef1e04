#include "build_stage.h"

#include <algorithm>

#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"
#include "shine/data/documents.h"
#include "shine/data/lm_dataset.h"
#include "shine/data/pretrain_dataset.h"
#include "shine/data/shifted_contexts.h"
#include "shine/io/model_files.h"
#include "shine/ops/linear_cross_entropy.h"

namespace shine {
namespace {

SpecialTokens special_tokens(const TextConfig& text) {
  return text.special_tokens == SpecialTokenUse::parse ? SpecialTokens::parse : SpecialTokens::escape;
}

DocumentSplit load_texts(const ExperimentConfig& config) {
  DocumentSplit split = load_documents(config.data, static_cast<std::uint64_t>(config.run.seed));
  SHINE_CHECK(!split.train.empty(), ConfigError, "data.train: ", join(config.data.train, ", "),
              ": no text to train on (name files that hold texts)");
  log_info(str(split.train.size(), " training texts, ", split.validation.size(), " validation texts (", split.empty,
               " empty ones left out, ", split.repaired, " with repaired UTF-8, ", split.dropped_from_train,
               " also in validation and dropped)"));
  return split;
}

std::shared_ptr<const Dataset> pretrain_dataset(const Experiment& experiment, std::vector<std::string> texts,
                                                double completion_frequency) {
  const ExperimentConfig& config = experiment.config;
  PretrainOptions options;
  options.context_max_length = config.text.context_max_length;
  options.conversation_max_length = config.text.conversation_max_length;
  options.open_groups = static_cast<std::size_t>(config.data.open_groups);
  options.completion_frequency = completion_frequency;
  options.completion_drop_min = config.stage.completion_drop_min;
  options.completion_drop_max = config.stage.completion_drop_max;
  options.collapse_whitespace = config.stage.collapse_whitespace;
  options.special_tokens = special_tokens(config.text);
  options.seed = static_cast<std::uint64_t>(config.run.seed);
  auto dataset = std::make_shared<PretrainDataset>(std::move(texts), experiment.tokenizer, options);
  const PretrainReport& report = dataset->report();
  log_info(str("packed ", report.texts, " texts into ", report.groups, " groups; ", report.over_long,
               " texts over the conversation limit, cut at the end (", report.tokens_cut, " tokens); ",
               report.contexts_over_long, " contexts over the context limit, cut at the end (",
               report.context_tokens_cut, " tokens)"));
  return dataset;
}

std::shared_ptr<const Dataset> language_dataset(const Experiment& experiment, const std::vector<std::string>& texts,
                                                double repeat_share) {
  const ExperimentConfig& config = experiment.config;
  LmOptions options;
  options.row_length = config.text.conversation_max_length;
  options.repeat_share = repeat_share;
  options.special_tokens = special_tokens(config.text);
  options.seed = static_cast<std::uint64_t>(config.run.seed);
  return std::make_shared<LmDataset>(texts, experiment.tokenizer, options);
}

/// Reconstruction and completion of held-out texts, and two controls: the LoRA of another text, which must not help,
/// and no LoRA at all, which is what the backbone knows of such texts by itself.
std::vector<ValidationSet> pretrain_validation(const Experiment& experiment, const std::vector<std::string>& texts,
                                               const std::shared_ptr<const Objective>& objective) {
  if (texts.empty()) return {};
  const auto reconstruction = pretrain_dataset(experiment, texts, 0.0);
  std::vector<ValidationSet> sets{{"reconstruction", reconstruction, objective}};
  if (experiment.config.stage.completion_frequency > 0) {
    sets.push_back({"completion", pretrain_dataset(experiment, texts, 1.0), objective});
  }
  if (reconstruction->size() > 1) {
    sets.push_back({"LoRA of another text", std::make_shared<ShiftedContexts>(reconstruction), objective});
  }
  sets.push_back({"no LoRA", reconstruction, std::make_shared<LanguageModelObjective>(*experiment.decoder)});
  return sets;
}

void build_pretrain(const Experiment& experiment, DocumentSplit texts, Stage& stage) {
  const StageConfig& config = experiment.config.stage;
  const auto* hypernetwork = experiment.hypernetwork.get();
  stage.train = pretrain_dataset(experiment, std::move(texts.train), config.completion_frequency);
  stage.objective = std::make_shared<ShineObjective>(*hypernetwork, config.adapter_reg > 0);
  stage.validation = pretrain_validation(experiment, texts.validation, stage.objective);
  stage.penalty = {config.adapter_reg, config.adapter_reg_form};
  stage.weights = [hypernetwork] {
    std::vector<std::pair<std::string, at::Tensor>> weights;
    for (const NamedTensor& named : hypernetwork->tensors()) weights.emplace_back(named.name, named.tensor);
    return weights;
  };
}

void build_backbone(const Experiment& experiment, const DocumentSplit& texts, Stage& stage) {
  const double share = experiment.config.stage.repeat_share;
  Decoder* decoder = experiment.decoder.get();
  decoder->set_trained();
  stage.train = language_dataset(experiment, texts.train, share);
  stage.objective = std::make_shared<LanguageModelObjective>(*decoder);
  if (!texts.validation.empty()) {
    stage.validation.push_back({"text", language_dataset(experiment, texts.validation, 0.0), stage.objective});
    if (share > 0) {
      stage.validation.push_back(
          {"repeated text", language_dataset(experiment, texts.validation, 1.0), stage.objective});
    }
  }
  stage.weights = [decoder] {
    std::vector<std::pair<std::string, at::Tensor>> weights;
    for (const ParameterSlot& slot : decoder->parameters().slots()) weights.emplace_back(slot.name, *slot.tensor);
    return weights;
  };
}

}  // namespace

Stage build_stage(const Experiment& experiment) {
  Stage stage;
  stage.name = config_names(StageName{})[static_cast<std::size_t>(experiment.config.stage.name)];
  if (experiment.hypernetwork) stage.frozen_fingerprint = ModelFiles(experiment.config.model.path).fingerprint();
  DocumentSplit texts = load_texts(experiment.config);
  switch (experiment.config.stage.name) {
    case StageName::pretrain: build_pretrain(experiment, std::move(texts), stage); break;
    case StageName::backbone: build_backbone(experiment, texts, stage); break;
  }
  return stage;
}

MemoryEstimate estimate_memory(const ExperimentConfig& config, const DecoderConfig& model, std::int64_t frozen,
                               std::int64_t trained) {
  const double element = config.model.dtype == WeightDtype::bfloat16 ? 2 : 4;
  const auto hidden = static_cast<double>(model.hidden_size);
  const auto layers = static_cast<double>(model.layers);
  const auto batch = static_cast<double>(config.optimizer.batch_size);
  const bool pretrain = config.stage.name != StageName::backbone;
  const double memory =
      pretrain ? static_cast<double>(model.lora_spec().memory_tokens(config.hypernetwork.lora_rank, model.hidden_size) *
                                     config.hypernetwork.m2p.mean_pool_size)
               : 0;
  const double tokens = batch * ((pretrain ? static_cast<double>(config.text.context_max_length) + memory : 0) +
                                 static_cast<double>(config.text.conversation_max_length));
  // Kept per token and layer: inputs of norms and projections (8 H), q, k, v and their rotations, gate, up and product.
  const double attention = 3.0 * static_cast<double>(model.head_dim * (model.heads + 2 * model.kv_heads));
  const double whole = 8 * hidden + attention + 4.0 * static_cast<double>(model.intermediate_size);
  // The backward works on about two layers' worth beside what is kept.
  const auto kept = [&](double depth, double layer_values) {
    return (config.model.recompute ? depth * hidden : depth * layer_values) + 2 * layer_values;
  };
  // M2P, float32, per memory token and layer and encoder layer: about 14 H.
  const double m2p = pretrain ? 4.0 * batch * memory * layers *
                                    kept(static_cast<double>(config.hypernetwork.m2p.num_layers), 14 * hidden)
                              : 0;
  // Logits of one chunk of rows, and their gradient, float32.
  const double logits =
      batch * static_cast<double>(config.text.conversation_max_length) * static_cast<double>(model.vocab_size);
  const double head = 2 * 4.0 * std::min(logits, static_cast<double>(cross_entropy_chunk_values));
  // A snapshot holds weights and both moments.
  return {static_cast<double>(frozen) * element, static_cast<double>(trained) * 16.0,
          tokens * kept(layers, whole) * element + m2p + head,
          config.checkpoint.background ? static_cast<double>(trained) * 12.0 : 0.0};
}

}  // namespace shine
