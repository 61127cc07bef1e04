#pragma once

#include <cstdint>
#include <vector>

#include "shine/decoder/decoder.h"
#include "shine/lora/lora_tree.h"
#include "shine/train/model_batch.h"

namespace shine {

struct SampleLoss {
  std::int64_t tokens = 0;  ///< labelled ones
  double loss = 0.0;        ///< mean next-token cross-entropy over them; NaN without any, or where it is not finite
};

/// The loss of each of a batch's conversations under its LoRA; no gradients.
/// @param lora  null: the decoder alone; its B_l adapters are shared by consecutive rows
std::vector<SampleLoss> sample_losses(const Decoder& decoder, const LoraTree* lora, const ModelBatch& batch);

}  // namespace shine
