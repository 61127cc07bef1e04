#pragma once

#include <string>

#include "shine/hypernetwork/hypernetwork.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// Rank of the second Meta-LoRA among checkpoint tensors; 0 without one.
std::int64_t extra_meta_lora_rank(const RawTensorDict& tensors);

/// Joins a second Meta-LoRA among the tensors to the first along the rank, and takes it out. Throws ConfigError where
/// the sum of both ranks is not `rank`, the Meta-LoRA's of the configuration.
void join_extra_meta_lora(RawTensorDict& tensors, std::int64_t rank, const std::string& where);

/// Gives the tensors the second Meta-LoRA that `hypernetwork` has, so that loading them leaves it as it is.
void keep_new_extra_meta_lora(RawTensorDict& tensors, const Hypernetwork& hypernetwork);

}  // namespace shine
