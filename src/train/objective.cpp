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

std::vector<TrainedTensor> ShineObjective::trained() const {
  std::vector<TrainedTensor> tensors;
  for (const TrainedParameter& named : hypernetwork_.trained()) tensors.push_back({named.name, named.tensor});
  return tensors;
}

ObjectiveValue LanguageModelObjective::forward(const ModelBatch& batch) const {
  const at::Tensor hidden = decoder_.forward(batch.conversations, /*lora=*/nullptr, batch.labelled.positions);
  return {decoder_.losses(hidden, batch.labelled.targets), {}};
}

std::vector<TrainedTensor> LanguageModelObjective::trained() const {
  std::vector<TrainedTensor> tensors;
  for (const auto& slot : decoder_.named_parameters()) {
    if (slot.value().requires_grad()) tensors.push_back({slot.key(), slot.value()});
  }
  return tensors;
}

}  // namespace shine
