#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapter/adapter_names.h"
#include "adapter/raw_adapter.h"

namespace shine {

/// The files of the forms.
inline constexpr const char* kPeftConfigFile = "adapter_config.json";  ///< MLX's too
inline constexpr const char* kPeftWeightsFile = "adapter_model.safetensors";
inline constexpr const char* kMlxWeightsFile = "adapters.safetensors";
inline constexpr const char* kOwnFile = "shine_adapter.safetensors";

/// Readers of one form each; `path` is the folder, or the GGUF file. They throw what read_raw_adapter throws.
RawAdapter read_peft(const std::filesystem::path& path, const DecoderConfig& config);
RawAdapter read_mlx(const std::filesystem::path& path, const DecoderConfig& config);
RawAdapter read_gguf_lora(const std::filesystem::path& path, const DecoderConfig& config);
RawAdapter read_own_form(const std::filesystem::path& path, const DecoderConfig& config);

/// One adapted map, ready to be written: A and B in the layout of the form, contiguous.
struct WrittenMap {
  MapPlace place;
  RawTensor a, b;
  std::optional<RawTensor> c;  ///< our own form alone
};

/// An adapter ready to be written: every map has the same rank and scale 1.
struct WrittenAdapter {
  std::vector<WrittenMap> maps;
  std::int64_t rank = 0;
  AdapterMetadata metadata;
};

/// The layout that a form's files have.
PairLayout layout_of(AdapterFormat format);

/// Writes a form's files into the folder, or the GGUF file. Throws IoError.
void write_peft(const std::filesystem::path& folder, const WrittenAdapter& adapter);
void write_mlx(const std::filesystem::path& folder, const WrittenAdapter& adapter, const DecoderConfig& config);
void write_gguf_lora(const std::filesystem::path& file, const WrittenAdapter& adapter, const DecoderConfig& config);
void write_own_form(const std::filesystem::path& folder, const WrittenAdapter& adapter);

/// Metadata by key: "shine.identity", "shine.backbone", "shine.base_model", "shine.tool"; empty ones are left out.
std::vector<std::pair<std::string, std::string>> metadata_pairs(const AdapterMetadata& metadata);

/// The inverse, of what `find` gives for a key; other tools' files have none of them.
template <class Find>
AdapterMetadata metadata_from(Find&& find) {
  return {find("shine.identity"), find("shine.backbone"), find("shine.base_model"), find("shine.tool")};
}

}  // namespace shine
