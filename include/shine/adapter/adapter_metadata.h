#pragma once

#include <array>
#include <string>
#include <string_view>

namespace shine {

/// `shine` is this project's own: one safetensors file and its metadata in a folder, the only one that holds C.
/// `merged` is the backbone with the adapter added to its weights, a whole Hugging Face folder; it can be written, not
/// read.
enum class AdapterFormat { shine, peft, gguf, mlx, merged };

constexpr std::array<std::string_view, 5> config_names(AdapterFormat) {
  return {"shine", "peft", "gguf", "mlx", "merged"};
}

/// What an adapter says of itself. Adapters made by other tools leave the hashes empty.
struct AdapterMetadata {
  std::string
      identity;  ///< hash of context ids, trained weights, backbone and options that shape the LoRA, 16 hex digits
  std::string backbone;    ///< fingerprint of the backbone's weights, 16 hex digits
  std::string base_model;  ///< name or path of the backbone, as given
  std::string tool;        ///< "shine 0.3.0"
};

}  // namespace shine
