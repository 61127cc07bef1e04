#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "adapter/adapter_names.h"
#include "adapter/raw_adapter.h"

namespace shine {

inline constexpr const char* kAdapterConfigName = "adapter_config.json";  ///< PEFT's and MLX's
inline constexpr const char* kOwnAdapterName = "adapter.safetensors";

// The readers and writers behind read_raw_adapter and write_raw_adapter, whose errors they throw. The writers take a
// folder that is being made, or for GGUF a file that is not there.

/// @param json  of adapter_config.json
RawAdapter read_peft(const std::filesystem::path& folder, const nlohmann::json& json, const DecoderConfig& config);
void write_peft(const std::filesystem::path& folder, const RawAdapter& adapter);

RawAdapter read_mlx(const std::filesystem::path& folder, const nlohmann::json& json, const DecoderConfig& config);
void write_mlx(const std::filesystem::path& folder, const RawAdapter& adapter);

RawAdapter read_gguf_lora(const std::filesystem::path& file, const DecoderConfig& config);
void write_gguf_lora(const std::filesystem::path& file, const RawAdapter& adapter, const DecoderConfig& config);

RawAdapter read_own_adapter(const std::filesystem::path& folder, const DecoderConfig& config);
void write_own_adapter(const std::filesystem::path& folder, const RawAdapter& adapter);

/// Calls `take(map, pair)` for every pair, by layer and projection.
template <class Take>
void for_each_pair(const RawPairs& layers, Take&& take) {
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (const Projection projection : kProjections) {
      const auto& pair = layers[layer][static_cast<std::size_t>(projection)];
      if (pair) take(AdaptedMap{layer, projection}, *pair);
    }
  }
}

/// Whether there is something; false too where the system refuses to say.
bool is_there(const std::filesystem::path& path);

/// A configuration as a file's text; bytes that are not UTF-8 are replaced.
std::string json_text(const nlohmann::json& json);

/// The rank of the first pair.
std::int64_t rank_of(const RawAdapter& adapter);

}  // namespace shine
