#include "shine/tensor/lora_weights.h"

#include "shine/common/error.h"

namespace shine {

void append_tensors(std::span<const LoraWeights> lora, std::vector<at::Tensor>& tensors) {
  for (const LoraWeights& each : lora) tensors.insert(tensors.end(), {each.a, each.b, each.c});
}

std::vector<LoraWeights> lora_weights_of(std::span<const at::Tensor> tensors) {
  SHINE_CHECK(tensors.size() % 3 == 0, ShapeError, tensors.size(), " tensors of a LoRA: expected A, B and C of each");
  std::vector<LoraWeights> lora;
  for (auto next = tensors.begin(); next != tensors.end(); next += 3) lora.push_back({next[0], next[1], next[2]});
  return lora;
}

}  // namespace shine
