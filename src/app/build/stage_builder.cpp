#include "app/build/stage_builder.h"

#include "app/train/stage_diagnostics.h"
#include "shine/common/error.h"

namespace shine {

std::unique_ptr<StageBuilder> make_stage_builder(const ExperimentConfig& config) {
  switch (config.stage.name) {
    case StageName::pretrain: return pretrain_stage(config);
    case StageName::ift_mqa: return instruction_stage(config, QaForm::multi_turn);
    case StageName::ift_1qa: return instruction_stage(config, QaForm::one_question);
    case StageName::backbone: return backbone_stage(config);
  }
  throw Error("unknown stage", "stage.name");
}

Stage build_stage(const Experiment& experiment) {
  Stage stage = make_stage_builder(experiment.config)->build(experiment);
  stage.name = enum_name(experiment.config.stage.name);
  if (experiment.hypernetwork) stage.diagnostics = stage_diagnostics(experiment, stage.validation);
  return stage;
}

}  // namespace shine
