#include "shine/train/objective.h"

#include <ATen/ATen.h>

namespace shine {

ShineObjective::ShineObjective(const Hypernetwork& hypernetwork, bool with_penalty)
    : hypernetwork_(hypernetwork), with_penalty_(with_penalty) {}

ObjectiveValue ShineObjective::forward(const ModelBatch& batch) const {
  const GeneratedLora lora = hypernetwork_.generate(batch.contexts);
  const Decoder& decoder = hypernetwork_.decoder();
  const at::Tensor hidden = decoder.forward_at(batch.conversations, &lora.tree, batch.labelled.positions);
  ObjectiveValue value{decoder.losses_at(hidden, batch.labelled.targets), {}};
  if (with_penalty_) value.penalties = hypernetwork_.used_values(lora.vector).abs().sum(1);
  return value;
}

std::vector<TrainedTensor> ShineObjective::trained() const {
  std::vector<TrainedTensor> tensors;
  for (const NamedTensor& named : hypernetwork_.trained()) tensors.push_back({named.name, named.tensor});
  return tensors;
}

ObjectiveValue LanguageModelObjective::forward(const ModelBatch& batch) const {
  const at::Tensor hidden = decoder_.forward_at(batch.conversations, /*lora=*/nullptr, batch.labelled.positions);
  return {decoder_.losses_at(hidden, batch.labelled.targets), {}};
}

std::vector<TrainedTensor> LanguageModelObjective::trained() const {
  std::vector<TrainedTensor> tensors;
  for (const ParameterSlot& slot : decoder_.parameters().slots()) {
    if (slot.tensor->requires_grad()) tensors.push_back({slot.name, *slot.tensor});
  }
  return tensors;
}

}  // namespace shine
