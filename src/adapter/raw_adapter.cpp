#include "adapter/raw_adapter.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "adapter/formats.h"
#include "io/files/atomic_folder.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCure = "name a PEFT or MLX folder, a folder that shine wrote, or a GGUF file";

RawAdapter read_folder(const fs::path& folder, const DecoderConfig& config) {
  const fs::path config_file = folder / kAdapterConfigName;
  const bool own = is_there(folder / kOwnAdapterName), has_config = is_there(config_file);
  if (own && has_config) {
    throw FormatError(str(kOwnAdapterName, " and ", kAdapterConfigName, " are of two adapters"), folder.string(),
                      "keep one adapter in a folder");
  }
  if (own) return read_own_adapter(folder, config);
  if (!has_config) throw IoError("no adapter in this folder", folder.string(), kCure);
  const nlohmann::json json = read_json_file(config_file);
  if (json.is_object() && json.contains("peft_type")) return read_peft(folder, json, config);
  if (json.is_object() && json.contains("lora_parameters")) return read_mlx(folder, json, config);
  throw FormatError("neither \"peft_type\" nor \"lora_parameters\" is there", config_file.string(),
                    "a PEFT or MLX configuration is needed");
}

void check_writable(const fs::path& path, const RawAdapter& adapter) {
  std::error_code refused;
  if (fs::exists(fs::symlink_status(path, refused))) {
    throw IoError("it exists already", path.string(), "remove it or choose another name");
  }
  if (adapter.format == AdapterFormat::shine) return;
  for_each_pair(adapter.layers, [&](AdaptedMap map, const RawPair& pair) {
    if (!pair.c) return;
    throw UnsupportedError(str(module_name(map.layer, map.projection), " has a term C, which this format cannot hold"),
                           path.string(), "write it as shine");
  });
}

}  // namespace

std::int64_t rank_of(const RawAdapter& adapter) {
  std::int64_t rank = 0;
  for_each_pair(adapter.layers, [&](AdaptedMap, const RawPair& pair) { rank = rank == 0 ? pair.rank : rank; });
  return rank;
}

bool is_there(const fs::path& path) {
  std::error_code refused;
  return fs::exists(path, refused);
}

std::string json_text(const nlohmann::json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

RawAdapter read_raw_adapter(const fs::path& path, const DecoderConfig& config) {
  std::error_code refused;
  if (fs::is_directory(path, refused)) return read_folder(path, config);
  if (!is_there(path)) throw IoError("there is no such file or folder", path.string(), kCure);
  if (path.extension() == ".safetensors") {
    throw FormatError("one file of an adapter", path.string(), "name its folder");
  }
  return read_gguf_lora(path, config);
}

void write_raw_adapter(const fs::path& path, const RawAdapter& adapter, const DecoderConfig& config) {
  check_writable(path, adapter);
  if (adapter.format == AdapterFormat::gguf) {
    if (path.has_parent_path()) make_folder(path.parent_path());
    return write_gguf_lora(path, adapter, config);
  }
  FolderWriter folder(path, FolderMark::none);
  switch (adapter.format) {
    case AdapterFormat::shine: write_own_adapter(folder.path(), adapter); break;
    case AdapterFormat::peft: write_peft(folder.path(), adapter); break;
    case AdapterFormat::mlx: write_mlx(folder.path(), adapter); break;
    case AdapterFormat::gguf:
    case AdapterFormat::merged: throw UnsupportedError("a merged model is no adapter", path.string());
  }
  folder.commit();
}

}  // namespace shine
