#include "app/build/hypernetwork_stage.h"
#include "app/build/stage_data.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"

namespace shine {
namespace {

/// @param set  for the log: "train", "validation completion"
std::shared_ptr<const Dataset> pretrain_dataset(const Experiment& experiment, const std::string& set,
                                                std::vector<std::string> texts, double completion_frequency) {
  const ExperimentConfig& config = experiment.config;
  PretrainOptions options = pretrain_options(experiment);
  options.context_max_length = config.text.context_max_length;
  options.conversation_max_length = config.text.conversation_max_length;
  options.open_groups = static_cast<std::size_t>(config.data.open_groups);
  options.over_long = config.data.over_long;
  options.completion_frequency = completion_frequency;
  options.seed = static_cast<std::uint64_t>(config.run.seed);
  auto dataset = std::make_shared<PretrainDataset>(std::move(texts), experiment.tokenizer, options);
  const PretrainReport& report = dataset->report();
  log_info(str(set, ": packed ", report.texts, " texts into ", report.groups, " groups; ", report.over_long,
               " texts over the conversation limit, cut at the end (", report.tokens_cut, " tokens); ",
               report.contexts_over_long, " contexts over the context limit, cut at the end (",
               report.context_tokens_cut, " tokens); ", report.split_off, " pieces split off"));
  warn_about_lost_tokens(set, report.tokens_lost(), report.tokens,
                         "set data.over_long=split, which makes pieces of long texts, or raise "
                         "text.context_max_length and text.conversation_max_length");
  return dataset;
}

/// Reconstruction and completion of texts; held-out ones, and the controls, at validation.
class PretrainStage : public HypernetworkStage {
 public:
  using HypernetworkStage::HypernetworkStage;

  TrainingData training_data(const Experiment& experiment) const override {
    DocumentSplit texts = load_texts(config_);
    TrainingData data{nullptr, texts.train.size(), texts.validation.size()};
    if (experiment.tokenizer) {
      data.samples = pretrain_dataset(experiment, "train", std::move(texts.train), config_.stage.completion_frequency);
    }
    return data;
  }

  Stage build(const Experiment& experiment) const override {
    DocumentSplit texts = load_texts(config_);
    Stage stage = stage_of(experiment);
    stage.train = pretrain_dataset(experiment, "train", std::move(texts.train), config_.stage.completion_frequency);
    if (texts.validation.empty()) return stage;
    const auto reconstruction = pretrain_dataset(experiment, "validation reconstruction", texts.validation, 0.0);
    stage.validation.push_back({"reconstruction", reconstruction, stage.objective});
    if (config_.stage.completion_frequency > 0) {
      stage.validation.push_back({"completion",
                                  pretrain_dataset(experiment, "validation completion", texts.validation, 1.0),
                                  stage.objective});
    }
    add_controls(experiment, reconstruction, "LoRA of another text", stage);
    return stage;
  }
};

}  // namespace

std::unique_ptr<StageBuilder> pretrain_stage(const ExperimentConfig& config) {
  return std::make_unique<PretrainStage>(config);
}

}  // namespace shine
