#include "io/safetensors/model_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/hash.h"
#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Shards are files of the model directory itself: any other path is refused.
void require_plain_name(const std::string& name, const std::string& where) {
  constexpr std::size_t max_bytes = 255;
  const auto is_odd = [](char c) {
    return c == '/' || c == '\\' || static_cast<unsigned char>(c) < ' ' || c == '\x7f';
  };
  const bool plain = !name.empty() && name != "." && name != ".." && name.size() <= max_bytes &&
                     std::none_of(name.begin(), name.end(), is_odd);
  if (!plain) throw FormatError(str("shard ", quote_text(name), " is not a plain file name"), where);
}

}  // namespace

ModelFiles::ModelFiles(const std::filesystem::path& directory, const std::string& stem) : directory_(directory) {
  const std::string single_name = stem + ".safetensors", index_name = single_name + ".index.json";
  if (std::filesystem::exists(directory / single_name)) {
    const auto file = std::make_shared<const SafetensorsFile>(directory / single_name);
    for (const std::string& name : file->names()) shard_of_.emplace(name, file);
  } else if (std::filesystem::exists(directory / index_name)) {
    open_shards(index_name);
  } else {
    const bool has_pickle = std::filesystem::exists(directory / "pytorch_model.bin") ||
                            std::filesystem::exists(directory / "pytorch_model.bin.index.json");
    throw IoError(
        str("neither ", single_name, " nor ", index_name, " found", has_pickle ? ", but pytorch_model.bin" : ""),
        directory.string(),
        has_pickle ? "convert it: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(NEW, "
                     "safe_serialization=True)"
                   : "a Hugging Face model directory with safetensors weights is needed");
  }
  for (const auto& [name, file] : shard_of_) names_.push_back(name);
}

std::uint64_t ModelFiles::fingerprint() const {
  Fnv1a hash;
  for (const std::string& name : names_) add_tensor(hash, name, tensor(name));
  return hash.value();
}

void ModelFiles::open_shards(const std::string& index_name) {
  const std::string where = (directory_ / index_name).string();
  const nlohmann::json index = read_json_file(directory_ / index_name);
  const nlohmann::json& weight_map = get_object(index, "weight_map", where);
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> shards;
  for (const auto& [name, unused] : weight_map.items()) {
    const std::string& shard_name = get_string(weight_map, name, where + ": weight_map");
    auto& shard = shards[shard_name];
    if (!shard) {
      require_plain_name(shard_name, where);
      shard = std::make_shared<const SafetensorsFile>(directory_ / shard_name);
    }
    if (!shard->contains(name)) {
      throw FormatError(str("tensor ", quote_text(name), " is not in ", shard_name), where,
                        "index and shards disagree");
    }
    shard_of_.emplace(name, shard);
  }
  for (const auto& [shard_name, shard] : shards) {
    for (const std::string& name : shard->names()) {
      const auto listed = shard_of_.find(name);
      if (listed == shard_of_.end() || listed->second != shard) {
        throw FormatError(str("tensor ", quote_text(name), " of ", shard_name, " is not listed for it"), where,
                          "index and shards disagree");
      }
    }
  }
}

RawTensor ModelFiles::tensor(const std::string& name) const {
  const auto found = shard_of_.find(name);
  SHINE_CHECK(found != shard_of_.end(), FormatError, directory_.string(), ": no tensor ", quote_text(name));
  return found->second->tensor(name);
}

std::filesystem::path ModelFiles::where(const std::string& name) const {
  const auto found = shard_of_.find(name);
  return found == shard_of_.end() ? directory_ : found->second->path();
}

}  // namespace shine
