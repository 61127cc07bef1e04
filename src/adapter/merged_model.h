#pragma once

#include <filesystem>

#include "shine/adapter/adapter.h"
#include "shine/common/api.h"

namespace shine {

/// Writes the backbone with the adapter added to its weights, W + (A B)^T and b + C, as a Hugging Face folder: the same
/// shards, config.json, generation_config.json and tokenizer files. Sums are taken in float32 and rounded once to the
/// type that the backbone has; tensors that are not adapted are the same bytes. Tensor by tensor: beside the adapter,
/// at most about four float32 copies of the largest adapted matrix are in memory. `folder` is complete or not there.
///
/// Throws IoError (the backbone's files, `folder` exists), FormatError (an adapted weight is missing or is there
/// twice), ShapeError (the adapter does not fit), UnsupportedError (an adapted weight that is no float, a sum that its
/// type cannot hold).
/// @param config  of the backbone
SHINE_API void write_merged_model(const std::filesystem::path& folder, const Adapter& adapter,
                                  const std::filesystem::path& backbone, const DecoderConfig& config);

}  // namespace shine
