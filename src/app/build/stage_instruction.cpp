#include "app/build/hypernetwork_stage.h"
#include "app/build/stage_data.h"
#include "app/build/store_data.h"

namespace shine {
namespace {

/// What a run trains on and what it is validated with.
struct InstructionData {
  TrainingData training;
  std::vector<QaItem> validation;
};

/// Questions about a context, and a share of samples that ask for the context itself.
class InstructionStage : public HypernetworkStage {
 public:
  InstructionStage(const ExperimentConfig& config, QaForm form) : HypernetworkStage(config), form_(form) {}

  TrainingData training_data(const Experiment& experiment) const override {
    Stage counts;
    return load(experiment, counts).training;
  }

  Stage build(const Experiment& experiment) const override {
    Stage stage = stage_of(experiment);
    const InstructionData data = load(experiment, stage);
    stage.train = data.training.samples;
    if (data.validation.empty()) return stage;
    QaOptions options = qa_options(experiment, form_, ContextPlace::lora);
    const auto questions = qa_dataset(experiment, data.validation, options, "questions", stage);
    stage.validation.push_back({"questions", questions, stage.objective});
    if (config_.stage.reconstruction_share > 0) {
      options.reconstruction_share = 1;
      stage.validation.push_back({"reconstruction",
                                  qa_dataset(experiment, data.validation, options, "reconstruction", stage),
                                  stage.objective});
    }
    add_controls(experiment, questions, "LoRA of another context", stage);
    return stage;
  }

 private:
  InstructionData load(const Experiment& experiment, Stage& counts) const {
    QaOptions options = qa_options(experiment, form_, ContextPlace::lora);
    options.reconstruction_share = config_.stage.reconstruction_share;
    if (reads_stores(config_)) {
      if (!experiment.tokenizer) return {};
      QuestionStores data = load_question_stores(config_, *experiment.tokenizer);
      const auto samples = question_dataset(experiment, data, options, counts);
      return {{samples, data.contexts(), data.validation.size()}, std::move(data.validation)};
    }
    QaSplit items = load_questions(config_);
    InstructionData data{{nullptr, items.train.size(), items.validation.size()}, std::move(items.validation)};
    if (experiment.tokenizer) {
      data.training.samples = qa_dataset(experiment, std::move(items.train), options, "train", counts);
    }
    return data;
  }

  QaForm form_;
};

}  // namespace

std::unique_ptr<StageBuilder> instruction_stage(const ExperimentConfig& config, QaForm form) {
  return std::make_unique<InstructionStage>(config, form);
}

}  // namespace shine
