#include <algorithm>
#include <nlohmann/json.hpp>

#include "adapter/adapter_forms.h"
#include "adapter/pair_collector.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffixA = ".lora_a", kSuffixB = ".lora_b";

struct MlxConfig {
  std::int64_t layers = 0;  ///< the last ones of the model
  std::int64_t rank = 0;
  double scale = 1.0;
};

MlxConfig read_config(const fs::path& file, std::int64_t model_layers) {
  const std::string where = file.string();
  const nlohmann::json json = read_json_file(file);
  const std::string& type = get_string(json, "fine_tune_type", where);
  if (type != "lora") {
    throw UnsupportedError(str("`fine_tune_type`: ", quote_text(type), " is not implemented"), where,
                           "use a plain LoRA, or fuse the adapter with mlx_lm.fuse");
  }
  const nlohmann::json& lora = get_object(json, "lora_parameters", where);
  const std::string inner = where + ": lora_parameters";
  MlxConfig config;
  config.rank = get_int(lora, "rank", inner);
  config.scale = get_double(lora, "scale", inner);
  config.layers = get_int_or(json, "num_layers", -1, where);
  if (config.layers < 0 || config.layers > model_layers) config.layers = model_layers;
  return config;
}

void add_tensor(PairCollector& pairs, const SafetensorsFile& file, const std::string& name, std::int64_t first_layer) {
  std::string_view path = name;
  const bool is_a = path.ends_with(kSuffixA);
  if (is_a || path.ends_with(kSuffixB)) {
    path.remove_suffix(kSuffixA.size());
    if (const auto place = parse_module_path(path)) {
      SHINE_CHECK(place->layer >= first_layer, FormatError, file.path().string(), ": tensor ", quote_text(name),
                  ": num_layers adapts the layers from ", first_layer, " on");
      pairs.add(*place, is_a ? Half::a : Half::b, name, file.tensor(name));
      return;
    }
  }
  throw FormatError(
      str("tensor ", quote_text(name), " is for no map that can be adapted here (q, k, v, o, gate, up, down)"),
      file.path().string(), str("expected model.layers.N.self_attn.q_proj", kSuffixA, " and the like"));
}

}  // namespace

RawAdapter read_mlx(const fs::path& path, const DecoderConfig& config) {
  const MlxConfig mlx = read_config(path / kPeftConfigFile, config.layers);
  RawAdapter adapter;
  adapter.format = AdapterFormat::mlx;
  adapter.where = path.string();
  const SafetensorsFile file(path / kMlxWeightsFile);
  PairCollector pairs(config.lora_spec(), PairLayout::ours, adapter.where);
  for (const std::string& name : file.names()) add_tensor(pairs, file, name, config.layers - mlx.layers);
  adapter.layers = pairs.finish();
  for (auto& layer : adapter.layers) {
    for (std::optional<RawPair>& pair : layer) {
      if (!pair) continue;
      SHINE_CHECK(pair->rank == mlx.rank, FormatError, (path / kPeftConfigFile).string(), ": the rank is ", mlx.rank,
                  ", that of the weights ", pair->rank);
      pair->scale = mlx.scale;
    }
  }
  adapter.metadata = metadata_from([&](const char* key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string() : found->second;
  });
  return adapter;
}

void write_mlx(const fs::path& folder, const WrittenAdapter& adapter, const DecoderConfig& config) {
  NamedRawTensors tensors;
  std::vector<std::string> modules;
  for (const WrittenMap& map : adapter.maps) {
    tensors.emplace_back(str(module_path(map.place), kSuffixA), map.a);
    tensors.emplace_back(str(module_path(map.place), kSuffixB), map.b);
    const std::string module(module_name(map.place.projection));
    if (std::ranges::find(modules, module) == modules.end()) modules.push_back(module);
  }
  std::map<std::string, std::string> metadata{{"format", "mlx"}};
  for (const auto& [key, value] : metadata_pairs(adapter.metadata)) metadata.emplace(key, value);
  write_safetensors(folder / kMlxWeightsFile, tensors, metadata);
  const nlohmann::ordered_json json{
      {"fine_tune_type", "lora"},
      {"model", adapter.metadata.base_model},
      {"num_layers", config.layers},
      {"lora_parameters", {{"rank", adapter.rank}, {"scale", 1.0}, {"dropout", 0.0}, {"keys", modules}}}};
  write_file_atomically(folder / kPeftConfigFile, json.dump(2) + "\n");
}

}  // namespace shine
