#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "shine/adapter/adapter_metadata.h"
#include "shine/common/api.h"
#include "shine/decoder/decoder_config.h"
#include "shine/lora/lora_tree.h"

namespace shine {

/// A LoRA that stands by itself: of one context, for one backbone. Its scale is already in A and B.
struct Adapter {
  LoraTree tree;  ///< B_l = 1, float32, on the CPU; maps that are not adapted are zero
  AdapterMetadata metadata;
  std::string where;  ///< the file it was read from, or what it was generated from
};

/// Reads a folder in PEFT's, MLX's or our own form, or a GGUF file. Ranks that differ are filled up with zeros to the
/// largest. Throws what read_raw_adapter throws.
SHINE_API Adapter read_adapter(const std::filesystem::path& path, const DecoderConfig& config);

/// How an adapter is written.
struct AdapterOutput {
  AdapterFormat format = AdapterFormat::peft;  ///< not merged: see write_merged_model
  at::ScalarType dtype = at::kFloat;           ///< float32, bfloat16 or float16
};

/// Writes it complete or not at all. Throws UnsupportedError where the format cannot hold it (a term C that is not zero
/// anywhere but in our own form), IoError.
SHINE_API void write_adapter(const std::filesystem::path& path, const Adapter& adapter, const DecoderConfig& config,
                             const AdapterOutput& output);

/// An adapter and how much of it is used.
struct WeightedAdapter {
  Adapter adapter;
  double weight = 1.0;
};

/// One adapter whose delta is the weighted sum: ranks end to end, the weight in B and C. Its identity is a hash of all.
SHINE_API Adapter combine_adapters(const std::vector<WeightedAdapter>& adapters);

}  // namespace shine
