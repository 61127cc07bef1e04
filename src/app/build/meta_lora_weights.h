#pragma once

#include <string>

#include "shine/hypernetwork/hypernetwork.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// Rank of the second Meta-LoRA among checkpoint tensors; 0 without one.
std::int64_t extra_meta_lora_rank(const RawTensorDict& tensors);

/// Merges a second Meta-LoRA among the tensors into the first, along the rank. Throws ConfigError unless both ranks add
/// up to `rank`, that of the configuration.
void join_extra_meta_lora(RawTensorDict& tensors, std::int64_t rank, const std::string& where);

/// Adds `hypernetwork`'s own second Meta-LoRA to the tensors, so that loading them does not change it.
void keep_new_extra_meta_lora(RawTensorDict& tensors, const Hypernetwork& hypernetwork);

}  // namespace shine
