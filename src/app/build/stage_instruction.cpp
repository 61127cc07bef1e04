#include "app/build/hypernetwork_stage.h"
#include "app/build/stage_data.h"

namespace shine {
namespace {

/// Questions about a context, and a share of samples that ask for the context itself.
class InstructionStage : public HypernetworkStage {
 public:
  InstructionStage(const ExperimentConfig& config, QaForm form) : HypernetworkStage(config), form_(form) {}

  TrainingData training_data(const Experiment& experiment) const override {
    QaSplit items = load_questions(config_);
    TrainingData data{nullptr, items.train.size(), items.validation.size()};
    if (!experiment.tokenizer) return data;
    QaOptions options = qa_options(experiment, form_, ContextPlace::lora);
    options.reconstruction_share = config_.stage.reconstruction_share;
    Stage counts;
    data.samples = qa_dataset(experiment, std::move(items.train), options, "train", counts);
    return data;
  }

  Stage build(const Experiment& experiment) const override {
    QaSplit items = load_questions(config_);
    Stage stage = stage_of(experiment);
    const double share = config_.stage.reconstruction_share;
    QaOptions options = qa_options(experiment, form_, ContextPlace::lora);
    options.reconstruction_share = share;
    stage.train = qa_dataset(experiment, std::move(items.train), options, "train", stage);
    if (items.validation.empty()) return stage;
    options.reconstruction_share = 0;
    const auto questions = qa_dataset(experiment, items.validation, options, "questions", stage);
    stage.validation.push_back({"questions", questions, stage.objective});
    if (share > 0) {
      options.reconstruction_share = 1;
      stage.validation.push_back({"reconstruction",
                                  qa_dataset(experiment, items.validation, options, "reconstruction", stage),
                                  stage.objective});
    }
    add_controls(experiment, questions, "LoRA of another context", stage);
    return stage;
  }

 private:
  QaForm form_;
};

}  // namespace

std::unique_ptr<StageBuilder> instruction_stage(const ExperimentConfig& config, QaForm form) {
  return std::make_unique<InstructionStage>(config, form);
}

}  // namespace shine
