#include "app/build/build_stage.h"

#include <algorithm>

#include "app/build/special_token_use.h"
#include "app/train/stage_diagnostics.h"
#include "data/pretrain/documents.h"
#include "data/pretrain/lm_dataset.h"
#include "data/qa/qa_split.h"
#include "data/qa/shifted_contexts.h"
#include "io/safetensors/model_files.h"
#include "ops/decoder_sublayers.h"
#include "ops/linear_cross_entropy.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"
#include "shine/data/pretrain_dataset.h"
#include "shine/data/qa_dataset.h"
#include "shine/tensor/device.h"

namespace shine {
namespace {

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

/// Two controls: the LoRA of another context, which must not help, and no LoRA at all, which is what the backbone knows
/// by itself.
void add_controls(const Experiment& experiment, const std::shared_ptr<const Dataset>& dataset, const char* shifted_name,
                  const std::shared_ptr<const Objective>& objective, std::vector<ValidationSet>& sets) {
  if (dataset->size() > 1) sets.push_back({shifted_name, std::make_shared<ShiftedContexts>(dataset), objective});
  sets.push_back({"no LoRA", dataset, std::make_shared<LanguageModelObjective>(*experiment.decoder)});
}

/// Reconstruction and completion of held-out texts, and the controls.
std::vector<ValidationSet> pretrain_validation(const Experiment& experiment, const std::vector<std::string>& texts,
                                               const std::shared_ptr<const Objective>& objective) {
  if (texts.empty()) return {};
  const auto reconstruction = pretrain_dataset(experiment, texts, 0.0);
  std::vector<ValidationSet> sets{{"reconstruction", reconstruction, objective}};
  if (experiment.config.stage.completion_frequency > 0) {
    sets.push_back({"completion", pretrain_dataset(experiment, texts, 1.0), objective});
  }
  add_controls(experiment, reconstruction, "LoRA of another text", objective, sets);
  return sets;
}

QaSplit load_questions(const ExperimentConfig& config) {
  QaSplit split = load_qa_items(config.data, static_cast<std::uint64_t>(config.run.seed));
  std::size_t absent = 0;
  for (const QaItem& item : split.train) absent += count_not_in_context(item);
  log_info(str(split.train.size(), " training contexts with questions (", absent,
               " questions without an answer that stands in the context), ", split.validation.size(),
               " validation contexts"));
  return split;
}

QaOptions qa_options(const ExperimentConfig& config, QaForm form, ContextPlace place) {
  QaOptions options;
  options.form = form;
  options.place = place;
  options.context_max_length = config.text.context_max_length;
  options.conversation_max_length = config.text.conversation_max_length;
  options.over_long = config.data.over_long;
  options.prompts = config.evaluation.prompts;
  options.special_tokens = special_tokens(config.text);
  options.seed = static_cast<std::uint64_t>(config.run.seed);
  return options;
}

/// The data set, with what became of its items in the log and in the stage's counts.
std::shared_ptr<const Dataset> qa_dataset(const Experiment& experiment, std::vector<QaItem> items,
                                          const QaOptions& options, const std::string& name, Stage& stage) {
  auto dataset = std::make_shared<QaDataset>(std::move(items), experiment.tokenizer, options);
  const QaReport& report = dataset->report();
  log_info(str(name, ": ", report.items, " contexts, ", report.samples, " samples; ", report.contexts_over_long,
               " contexts and ", report.conversations_over_long, " conversations over their limits; ", report.dropped,
               " samples dropped, ", report.split_off, " split off, ", report.tokens_cut, " tokens cut"));
  const auto count = [](auto value) { return static_cast<std::int64_t>(value); };
  stage.data_counts.push_back({name,
                               {{"items", count(report.items)},
                                {"samples", count(report.samples)},
                                {"contexts_over_long", count(report.contexts_over_long)},
                                {"conversations_over_long", count(report.conversations_over_long)},
                                {"dropped", count(report.dropped)},
                                {"split_off", count(report.split_off)},
                                {"tokens_cut", report.tokens_cut}}});
  return dataset;
}

/// What the stages of the hypernetwork share: objective, penalty, and what a checkpoint keeps.
void set_hypernetwork_objective(const Experiment& experiment, Stage& stage) {
  const StageConfig& config = experiment.config.stage;
  const auto* hypernetwork = experiment.hypernetwork.get();
  stage.frozen_fingerprint = ModelFiles(experiment.config.model.path).fingerprint();
  stage.objective = std::make_shared<ShineObjective>(*hypernetwork, config.adapter_reg > 0);
  stage.penalty = {config.adapter_reg, config.adapter_reg_form};
  stage.weights = [hypernetwork] {
    std::vector<std::pair<std::string, at::Tensor>> weights;
    for (const NamedTensor& named : hypernetwork->tensors()) weights.emplace_back(named.name, named.tensor);
    return weights;
  };
}

void build_pretrain(const Experiment& experiment, Stage& stage) {
  DocumentSplit texts = load_texts(experiment.config);
  set_hypernetwork_objective(experiment, stage);
  stage.train = pretrain_dataset(experiment, std::move(texts.train), experiment.config.stage.completion_frequency);
  stage.validation = pretrain_validation(experiment, texts.validation, stage.objective);
}

/// Both instruction-tuning stages: questions about a context, and a share of samples that ask for the context itself.
void build_instruction_tuning(const Experiment& experiment, QaForm form, Stage& stage) {
  QaSplit items = load_questions(experiment.config);
  set_hypernetwork_objective(experiment, stage);
  QaOptions options = qa_options(experiment.config, form, ContextPlace::lora);
  options.reconstruction_share = experiment.config.stage.reconstruction_share;
  stage.train = qa_dataset(experiment, std::move(items.train), options, "train", stage);
  if (items.validation.empty()) return;
  options.reconstruction_share = 0;
  const auto questions = qa_dataset(experiment, items.validation, options, "questions", stage);
  stage.validation.push_back({"questions", questions, stage.objective});
  if (experiment.config.stage.reconstruction_share > 0) {
    options.reconstruction_share = 1;
    stage.validation.push_back({"reconstruction",
                                qa_dataset(experiment, items.validation, options, "reconstruction", stage),
                                stage.objective});
  }
  add_controls(experiment, questions, "LoRA of another context", stage.objective, stage.validation);
}

void build_backbone_on_texts(const Experiment& experiment, Stage& stage) {
  const DocumentSplit texts = load_texts(experiment.config);
  const double share = experiment.config.stage.repeat_share;
  stage.train = language_dataset(experiment, texts.train, share);
  if (texts.validation.empty()) return;
  stage.validation.push_back({"text", language_dataset(experiment, texts.validation, 0.0), stage.objective});
  if (share > 0) {
    stage.validation.push_back({"repeated text", language_dataset(experiment, texts.validation, 1.0), stage.objective});
  }
}

void build_backbone_on_questions(const Experiment& experiment, Stage& stage) {
  QaSplit items = load_questions(experiment.config);
  QaOptions options = qa_options(experiment.config, QaForm::multi_turn, ContextPlace::prompt);
  options.reconstruction_share = experiment.config.stage.repeat_share;
  stage.train = qa_dataset(experiment, std::move(items.train), options, "train", stage);
  if (items.validation.empty()) return;
  for (const auto& [name, share] : {std::pair{"questions", 0.0}, std::pair{"repeated text", 1.0}}) {
    if (share > 0 && experiment.config.stage.repeat_share == 0) continue;
    options.reconstruction_share = share;
    stage.validation.push_back({name, qa_dataset(experiment, items.validation, options, name, stage), stage.objective});
  }
}

void build_backbone(const Experiment& experiment, Stage& stage) {
  Decoder* decoder = experiment.decoder.get();
  decoder->set_trained();
  stage.objective = std::make_shared<LanguageModelObjective>(*decoder);
  switch (experiment.config.data.form) {
    case DataForm::texts: build_backbone_on_texts(experiment, stage); break;
    case DataForm::questions: build_backbone_on_questions(experiment, stage); break;
  }
  stage.weights = [decoder] {
    std::vector<std::pair<std::string, at::Tensor>> weights;
    for (const auto& slot : decoder->named_parameters()) weights.emplace_back(slot.key(), slot.value());
    return weights;
  };
}

}  // namespace

Stage build_stage(const Experiment& experiment) {
  Stage stage;
  stage.name = config_names(StageName{})[static_cast<std::size_t>(experiment.config.stage.name)];
  switch (experiment.config.stage.name) {
    case StageName::pretrain: build_pretrain(experiment, stage); break;
    case StageName::ift_mqa: build_instruction_tuning(experiment, QaForm::multi_turn, stage); break;
    case StageName::ift_1qa: build_instruction_tuning(experiment, QaForm::one_question, stage); break;
    case StageName::backbone: build_backbone(experiment, stage); break;
  }
  if (experiment.hypernetwork) stage.diagnostics = stage_diagnostics(experiment, stage.validation);
  return stage;
}

MemoryEstimate estimate_memory(const ExperimentConfig& config, const DecoderConfig& model, std::int64_t frozen,
                               std::int64_t trained) {
  const double element = config.model.dtype == WeightDtype::bfloat16 ? 2 : 4;
  const auto hidden = static_cast<double>(model.hidden_size);
  const auto layers = static_cast<double>(model.layers);
  const bool pretrain = config.stage.name != StageName::backbone;
  const double memory =
      pretrain ? static_cast<double>(model.lora_spec().memory_tokens(config.hypernetwork.lora_rank, model.hidden_size) *
                                     config.hypernetwork.m2p.mean_pool_size)
               : 0;
  const double sample = (pretrain ? static_cast<double>(config.text.context_max_length) : 0) +
                        static_cast<double>(config.text.conversation_max_length);
  // Of one pass: a micro-batch, or as many as optimizer.pass_tokens lets into it.
  const auto micro_batch = static_cast<double>(config.optimizer.batch_size);
  const double samples =
      std::max(micro_batch, std::min(static_cast<double>(config.optimizer.pass_tokens) / sample,
                                     micro_batch * static_cast<double>(config.optimizer.accumulation)));
  const double tokens = samples * (sample + memory);
  // Saved per token and layer: inputs of norms and projections (8 H), q, k, v and their rotations, gate, up and
  // product.
  const double attention = 3.0 * static_cast<double>(model.head_dim * (model.heads + 2 * model.kv_heads));
  const double whole = 8 * hidden + attention + 4.0 * static_cast<double>(model.intermediate_size);
  // The backward works on about two layers' worth beside what is kept.
  const auto kept = [&](double depth, double layer_values) {
    return (config.model.recompute ? depth * hidden : depth * layer_values) + 2 * layer_values;
  };
  // M2P, float32, per memory token and layer and encoder layer: about 14 H.
  const double m2p = pretrain ? 4.0 * samples * memory * layers *
                                    kept(static_cast<double>(config.hypernetwork.m2p.num_layers), 14 * hidden)
                              : 0;
  // Logits of one chunk of rows, and their gradient, float32.
  const double logits =
      samples * static_cast<double>(config.text.conversation_max_length) * static_cast<double>(model.vocab_size);
  const double head = 2 * 4.0 * std::min(logits, static_cast<double>(cross_entropy_chunk_values));
  // A snapshot holds weights and both moments.
  // The CPU backend reads prepared copies of the layers: one in float32, two in bfloat16.
  double projections = 0;
  for (const ProjectionSpec& p : model.lora_spec().projections)
    projections += layers * static_cast<double>(p.in * p.out);
  const bool backend = pretrain && parse_device(config.run.device).is_cpu() &&
                       blocks_run(element == 2 ? at::kBFloat16 : at::kFloat, at::kCPU);
  const double copies = backend ? projections * 4.0 : 0.0;  // 1 x 4 or 2 x 2 bytes a value
  double activations = tokens * kept(layers, whole) * element;
  if (config.model.activation_memory > 0) {
    const double limit = static_cast<double>(config.model.activation_memory) * 1048576.0;
    activations =
        std::min(activations, std::max(limit, tokens * layers * 2 * hidden * element) + 2 * tokens * whole * element);
  }
  return {static_cast<double>(frozen) * element, copies, static_cast<double>(trained) * 16.0, activations + m2p + head,
          config.checkpoint.background ? static_cast<double>(trained) * 12.0 : 0.0};
}

}  // namespace shine
