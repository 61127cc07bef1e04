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

/// How LibTorch's attention reads the rows of a pass, which decides what it keeps of them.
enum class RowsForm {
  one,         ///< a single row, where it lies
  several,     ///< one by one or padded; their outputs are joined. Padding is not counted
  end_to_end,  ///< by a kernel that takes them so, and groups of heads too
};
RowsForm rows_form(const PackedRows& rows);

/// @param rank  of the LoRA, 0 without; of all adapters together where a mask tells them apart
/// @param rows  read for operations alone
ActivationBytes activation_bytes_of(SublayerBackend backend, const DecoderConfig& config, at::ScalarType type,
                                    std::int64_t rank, RowsForm rows);

/// The same of a layer that runs as a whole, the plain form.
std::int64_t plain_kept_bytes(const DecoderConfig& config, at::ScalarType type);

/// The layers' choices under which a pass of `tokens` tokens keeps at most `budget` bytes, or as near to it as can be;
/// 0: no limit. MLPs are the first to be computed again: they free the most bytes for their work; from the first layer
/// on, whose values are needed last, when the others' memory is free again.
std::vector<LayerActivations> plan_activations(std::size_t layers, const ActivationBytes& each, std::int64_t tokens,
                                               std::int64_t budget);

/// What a pass of `tokens` tokens keeps by a plan.
std::int64_t planned_bytes(const std::vector<LayerActivations>& plan, const ActivationBytes& each, std::int64_t tokens);

/// The plan where the layers run as a whole, and are computed again as a whole: how many of the first ones.
std::int64_t plan_plain_layers(const DecoderConfig& config, at::ScalarType type, std::int64_t tokens,
                               std::int64_t budget);

}  // namespace shine
