#include "app/build/hypernetwork_stage.h"
#include "app/build/stage_data.h"
#include "app/build/store_data.h"

namespace shine {
namespace {

PretrainOptions options_of(const Experiment& experiment, double completion_frequency) {
  const ExperimentConfig& config = experiment.config;
  PretrainOptions options = pretrain_options(experiment);
  options.context_max_length = config.text.context_max_length;
  options.conversation_max_length = config.text.conversation_max_length;
  options.open_groups = static_cast<std::size_t>(config.data.open_groups);
  options.over_long = config.data.over_long;
  options.completion_frequency = completion_frequency;
  options.seed = static_cast<std::uint64_t>(config.run.seed);
  return options;
}

/// @param set  for the log: "train", "validation completion"
std::shared_ptr<const Dataset> pretrain_dataset(const Experiment& experiment, const std::string& set,
                                                std::vector<std::string> texts, double completion_frequency) {
  auto dataset = std::make_shared<PretrainDataset>(std::move(texts), experiment.tokenizer,
                                                   options_of(experiment, completion_frequency));
  log_packing(set, dataset->report());
  return dataset;
}

/// What a run trains on and what it is validated with.
struct PretrainData {
  TrainingData training;
  std::vector<std::string> validation;
};

/// Reconstruction and completion of texts; held-out ones, and the controls, at validation.
class PretrainStage : public HypernetworkStage {
 public:
  using HypernetworkStage::HypernetworkStage;

  TrainingData training_data(const Experiment& experiment) const override { return load(experiment).training; }

  Stage build(const Experiment& experiment) const override {
    const PretrainData data = load(experiment);
    Stage stage = stage_of(experiment);
    stage.train = data.training.samples;
    if (data.validation.empty()) return stage;
    const auto reconstruction = pretrain_dataset(experiment, "validation reconstruction", data.validation, 0.0);
    stage.validation.push_back({"reconstruction", reconstruction, stage.objective});
    if (config_.stage.completion_frequency > 0) {
      stage.validation.push_back(
          {"completion", pretrain_dataset(experiment, "validation completion", data.validation, 1.0), stage.objective});
    }
    add_controls(experiment, reconstruction, "LoRA of another text", stage);
    return stage;
  }

 private:
  PretrainData load(const Experiment& experiment) const {
    const double completion = config_.stage.completion_frequency;
    if (reads_stores(config_)) {
      if (!experiment.tokenizer) return {};
      StoreData data = load_stores(config_, *experiment.tokenizer);
      const auto samples = store_dataset(experiment, data, options_of(experiment, completion));
      return {{samples, data.documents(), data.validation.size()}, std::move(data.validation)};
    }
    DocumentSplit texts = load_texts(config_);
    PretrainData data{{nullptr, texts.train.size(), texts.validation.size()}, std::move(texts.validation)};
    if (experiment.tokenizer) {
      data.training.samples = pretrain_dataset(experiment, "train", std::move(texts.train), completion);
    }
    return data;
  }
};

}  // namespace

std::unique_ptr<StageBuilder> pretrain_stage(const ExperimentConfig& config) {
  return std::make_unique<PretrainStage>(config);
}

}  // namespace shine
