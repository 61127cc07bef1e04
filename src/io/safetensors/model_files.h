#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shine/io/safetensors.h"

namespace shine {

/// The weights of a Hugging Face directory: model.safetensors, or the shards that model.safetensors.index.json lists;
/// for an adapter the same with its own stem.
class ModelFiles {
 public:
  /// Throws IoError (no weights), FormatError (a shard outside the directory, or index and shards that disagree).
  /// @param stem  "model", or "adapter_model"
  explicit ModelFiles(const std::filesystem::path& directory, const std::string& stem = "model");

  /// All tensor names, sorted.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return shard_of_.contains(name); }

  /// Throws FormatError for an unknown name.
  RawTensor tensor(const std::string& name) const;

  /// A hash of names, types, shapes and samples of every tensor's bytes: in practice other weights have another hash,
  /// and the cost does not grow with the model.
  std::uint64_t fingerprint() const;

  /// The file that holds the tensor, for messages; the directory for an unknown name.
  std::filesystem::path where(const std::string& name) const;

 private:
  void open_shards(const std::string& index_name);

  std::filesystem::path directory_;
  std::vector<std::string> names_;
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> shard_of_;  ///< by tensor name
};

}  // namespace shine
