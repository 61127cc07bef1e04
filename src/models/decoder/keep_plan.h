#pragma once

#include <vector>

#include "shine/models/decoder/decoder_config.h"
#include "shine/ops/decoder_sublayers.h"

namespace shine {

/// What the two sub-layers of a layer keep for the backward.
struct LayerKeep {
  Keep attention = Keep::all, mlp = Keep::all;
};

/// Bytes that one token of one layer keeps where sub-layers run.
struct KeptBytes {
  std::int64_t inputs = 0;     ///< of both sub-layers, in any case
  std::int64_t attention = 0;  ///< beside its input
  std::int64_t mlp = 0;        ///< beside its input
};

/// For operations, what LibTorch's attention keeps of several rows, without their padding.
/// @param rank  of the LoRA, 0 without; of all adapters together where a mask tells them apart
KeptBytes kept_bytes(SublayerEngine engine, const DecoderConfig& config, at::ScalarType type, std::int64_t rank);

/// The layers' choices under which a pass of `tokens` tokens keeps at most `budget` bytes, or as near to it as can be;
/// 0: no limit. MLPs are the first to be computed again: they free the most bytes for their work; from the first layer
/// on, whose values are needed last, when the others' memory is free again.
std::vector<LayerKeep> plan_keep(std::size_t layers, const KeptBytes& each, std::int64_t tokens, std::int64_t budget);

/// The same where the layers run as a whole, and are computed again as a whole: how many of the first ones.
std::int64_t plan_plain_layers(const DecoderConfig& config, at::ScalarType type, std::int64_t tokens,
                               std::int64_t budget);

}  // namespace shine
