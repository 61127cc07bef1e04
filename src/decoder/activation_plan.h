#pragma once

#include <vector>

#include "ops/decoder_sublayers.h"
#include "shine/decoder/decoder_config.h"

namespace shine {

/// What the two sub-layers of a layer keep for the backward.
struct LayerActivations {
  SavedActivations attention = SavedActivations::all, mlp = SavedActivations::all;
};

/// Bytes that one token of one layer keeps where sub-layers run.
struct ActivationBytes {
  std::int64_t inputs = 0;     ///< of both sub-layers, in any case
  std::int64_t attention = 0;  ///< beside its input
  std::int64_t mlp = 0;        ///< beside its input
};

/// For operations, what LibTorch's attention keeps of several rows, without their padding.
/// @param rank  of the LoRA, 0 without; of all adapters together where a mask tells them apart
ActivationBytes activation_bytes_of(SublayerBackend backend, const DecoderConfig& config, at::ScalarType type,
                                    std::int64_t rank);

/// The layers' choices under which a pass of `tokens` tokens keeps at most `budget` bytes, or as near to it as can be;
/// 0: no limit. MLPs are the first to be computed again: they free the most bytes for their work; from the first layer
/// on, whose values are needed last, when the others' memory is free again.
std::vector<LayerActivations> plan_activations(std::size_t layers, const ActivationBytes& each, std::int64_t tokens,
                                               std::int64_t budget);

/// The same where the layers run as a whole, and are computed again as a whole: how many of the first ones.
std::int64_t plan_plain_layers(const DecoderConfig& config, at::ScalarType type, std::int64_t tokens,
                               std::int64_t budget);

}  // namespace shine
