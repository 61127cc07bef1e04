#include "app/build/special_token_use.h"
#include "app/build/stage_builder.h"
#include "app/build/stage_data.h"
#include "data/pretrain/lm_dataset.h"
#include "shine/common/error.h"
#include "shine/train/objective.h"

namespace shine {
namespace {

std::shared_ptr<const Dataset> language_dataset(const Experiment& experiment, const std::vector<std::string>& texts,
                                                double repeat_share) {
  const ExperimentConfig& config = experiment.config;
  LmOptions options;
  options.row_length = config.text.conversation_max_length;
  options.repeat_share = repeat_share;
  options.special_tokens = special_tokens(config.text);
  options.chat_format = experiment.chat_format;
  options.seed = static_cast<std::uint64_t>(config.run.seed);
  return std::make_shared<LmDataset>(texts, experiment.tokenizer, options);
}

/// A language model trained from scratch, on texts or on questions with the context in the prompt: the backbone of tiny
/// configurations.
class BackboneStage : public StageBuilder {
 public:
  using StageBuilder::StageBuilder;

  std::filesystem::path decoder_config() const override { return config_.model.config; }
  std::int64_t passes() const override { return 1; }
  bool has_hypernetwork() const override { return false; }
  void add_tokens(Tokenizer&) const override {}

  void fill(Decoder& decoder) const override {
    initialise_decoder(decoder, config_.model.init_gain, static_cast<std::uint64_t>(config_.run.seed));
  }

  void complete(Experiment& experiment, const std::optional<WeightsSource>&) const override {
    SHINE_CHECK(missing_rows(*experiment.decoder, *experiment.tokenizer) == 0, ConfigError, config_.model.config,
                ": vocab_size ", experiment.decoder->config().vocab_size, " is below the tokenizer's ",
                experiment.tokenizer->size(), " tokens");
  }

  void check_weights(Decoder&, const WeightsSource&) const override {}

  TrainedParts describe(Decoder& decoder) const override {
    return {.text = "", .parameters = count_parameters(decoder), .backbone = true};
  }

  TrainingData training_data(const Experiment& experiment) const override {
    if (config_.data.form == DataForm::texts) {
      const DocumentSplit texts = load_texts(config_);
      TrainingData data{nullptr, texts.train.size(), texts.validation.size()};
      if (experiment.tokenizer) data.samples = language_dataset(experiment, texts.train, config_.stage.repeat_share);
      return data;
    }
    QaSplit items = load_questions(config_);
    TrainingData data{nullptr, items.train.size(), items.validation.size()};
    if (!experiment.tokenizer) return data;
    QaOptions options = qa_options(experiment, QaForm::multi_turn, ContextPlace::prompt);
    options.reconstruction_share = config_.stage.repeat_share;
    Stage counts;
    data.samples = qa_dataset(experiment, std::move(items.train), options, "train", counts);
    return data;
  }

  Stage build(const Experiment& experiment) const override {
    Decoder* decoder = experiment.decoder.get();
    decoder->set_trained();
    Stage stage;
    stage.objective = std::make_shared<LanguageModelObjective>(*decoder);
    switch (config_.data.form) {
      case DataForm::texts: add_texts(experiment, stage); break;
      case DataForm::questions: add_questions(experiment, stage); break;
    }
    stage.weights = [decoder] { return named_tensors(*decoder); };
    return stage;
  }

 private:
  void add_texts(const Experiment& experiment, Stage& stage) const {
    const DocumentSplit texts = load_texts(config_);
    const double share = config_.stage.repeat_share;
    stage.train = language_dataset(experiment, texts.train, share);
    if (texts.validation.empty()) return;
    stage.validation.push_back({"text", language_dataset(experiment, texts.validation, 0.0), stage.objective});
    if (share > 0) {
      stage.validation.push_back(
          {"repeated text", language_dataset(experiment, texts.validation, 1.0), stage.objective});
    }
  }

  void add_questions(const Experiment& experiment, Stage& stage) const {
    QaSplit items = load_questions(config_);
    QaOptions options = qa_options(experiment, QaForm::multi_turn, ContextPlace::prompt);
    options.reconstruction_share = config_.stage.repeat_share;
    stage.train = qa_dataset(experiment, std::move(items.train), options, "train", stage);
    if (items.validation.empty()) return;
    for (const auto& [name, share] : {std::pair{"questions", 0.0}, std::pair{"repeated text", 1.0}}) {
      if (share > 0 && config_.stage.repeat_share == 0) continue;
      options.reconstruction_share = share;
      stage.validation.push_back(
          {name, qa_dataset(experiment, items.validation, options, name, stage), stage.objective});
    }
  }
};

}  // namespace

std::unique_ptr<StageBuilder> backbone_stage(const ExperimentConfig& config) {
  return std::make_unique<BackboneStage>(config);
}

}  // namespace shine
