#include "shine/train/objective.h"

#include <ATen/ATen.h>

namespace shine {
ShineObjective::ShineObjective(const Hypernetwork& hypernetwork, bool with_penalty)
    : hypernetwork_(hypernetwork), with_penalty_(with_penalty) {}

ObjectiveValue ShineObjective::forward(const ModelBatch& batch) const {
  const GeneratedLora lora = hypernetwork_.generate(batch.contexts);
  const Decoder& decoder = hypernetwork_.decoder();
  const at::Tensor hidden = decoder.forward(batch.conversations, &lora.tree, batch.labelled.positions);
  ObjectiveValue value{decoder.losses(hidden, batch.labelled.targets), {}};
  if (with_penalty_) value.penalties = hypernetwork_.used_values(lora.vector).abs().sum(1);
  return value;
}

std::vector<TrainedParameter> ShineObjective::trained() const {
  return hypernetwork_.trained();
}

ObjectiveValue LanguageModelObjective::forward(const ModelBatch& batch) const {
  const at::Tensor hidden = decoder_.forward(batch.conversations, /*lora=*/nullptr, batch.labelled.positions);
  return {decoder_.losses(hidden, batch.labelled.targets), {}};
}

std::vector<TrainedParameter> LanguageModelObjective::trained() const {
  return trained_parameters(decoder_, ParameterGroup::backbone);
}

}  // namespace shine
