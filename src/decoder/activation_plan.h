#pragma once

#include <vector>

#include "ops/decoder_sublayers.h"
#include "shine/decoder/decoder_config.h"

namespace shine {

/// What the two sub-layers of a layer save for the backward.
struct LayerActivations {
  SavedActivations attention = SavedActivations::all, mlp = SavedActivations::all;
};

/// Bytes saved per token and layer where the fused sub-layers run.
struct ActivationBytes {
  std::int64_t inputs = 0;     ///< of both sub-layers, in any case
  std::int64_t attention = 0;  ///< beside its input
  std::int64_t mlp = 0;        ///< beside its input
};

/// How LibTorch's attention reads the rows of a pass, which decides what it saves.
enum class RowPacking {
  single,    ///< one row, in place
  multiple,  ///< row by row or padded, outputs concatenated. Padding is not counted
  varlen,    ///< packed, by a varlen kernel that takes grouped heads too
};
RowPacking row_packing(const PackedRows& rows);

/// @param rank  of the LoRA, 0 without; of all adapters together where a mask tells them apart
/// @param rows  read for the torch backend only
ActivationBytes activation_bytes_of(SublayerBackend backend, const DecoderConfig& config, at::ScalarType type,
                                    std::int64_t rank, RowPacking rows);

/// The same where DecoderLayer::forward runs.
std::int64_t layer_activation_bytes(const DecoderConfig& config, at::ScalarType type);

/// What each layer saves so that a pass of `tokens` tokens saves at most `budget` bytes, or as near to it as possible;
/// 0: no limit. MLPs are recomputed first, since they free the most bytes for their work, and from the first layer on,
/// whose activations are needed last, when the others' memory is free again.
std::vector<LayerActivations> plan_activations(std::size_t layers, const ActivationBytes& each, std::int64_t tokens,
                                               std::int64_t budget);

/// Bytes that a pass of `tokens` tokens saves under a plan.
std::int64_t planned_bytes(const std::vector<LayerActivations>& plan, const ActivationBytes& each, std::int64_t tokens);

/// The plan where DecoderLayer::forward runs: how many of the first layers are recomputed.
std::int64_t layers_to_recompute(const DecoderConfig& config, at::ScalarType type, std::int64_t tokens,
                                 std::int64_t budget);

}  // namespace shine
