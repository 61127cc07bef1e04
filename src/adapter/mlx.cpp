#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "adapter/formats.h"
#include "adapter/identity.h"
#include "adapter/pair_collector.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"

namespace shine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kTensorsName = "adapters.safetensors";
constexpr std::array<const char*, 4> kParameterKeys{"rank", "scale", "dropout", "keys"};

/// What adapter_config.json says of the LoRA; all other keys there are of the training run.
struct MlxConfig {
  std::int64_t layers = 0;  ///< so many from the last; 0 or less: all
  std::int64_t rank = 0;
  double scale = 0;
  std::optional<std::vector<std::string>> keys;  ///< names of modules within a layer, or whole ones

  bool converts(std::int64_t layer, Projection projection, std::int64_t all_layers) const {
    const auto has = [&](std::string_view name) { return std::ranges::find(*keys, name) != keys->end(); };
    if (keys && has(module_name(static_cast<std::size_t>(layer), projection))) return true;
    return (layers <= 0 || layer >= all_layers - layers) && (!keys || has(hugging_face_name(projection)));
  }
};

MlxConfig read_config(const Json& json, const std::string& where) {
  const std::string type = get_string_or(json, "fine_tune_type", "lora", where);
  if (type != "lora") {
    throw UnsupportedError(str("\"fine_tune_type\": ", quote_text(type), " is not supported"), where, "\"lora\" is");
  }
  MlxConfig config;
  config.layers = get_int(json, "num_layers", where);
  const Json& parameters = get_object(json, "lora_parameters", where);
  const std::string place = str(where, ": lora_parameters");
  for (const auto& [key, unused] : parameters.items()) {
    if (std::ranges::find(kParameterKeys, key) == kParameterKeys.end()) {
      throw UnsupportedError(str(quote_text(key), " is not known"), place, "rank, scale, dropout and keys are");
    }
  }
  config.rank = get_int(parameters, "rank", place);
  config.scale = get_double(parameters, "scale", place);
  if (!has_value(parameters, "keys", place)) return config;
  config.keys.emplace();
  for (const Json& key : get_array(parameters, "keys", place)) {
    SHINE_CHECK(key.is_string(), FormatError, place, ": keys: expected strings, found ", key.type_name());
    config.keys->push_back(key);
  }
  return config;
}

struct MlxName {
  AdaptedMap map;
  PairPart part = PairPart::a;
};

std::optional<MlxName> parse_name(std::string_view name) {
  constexpr std::string_view start = "model.layers.";
  const bool is_a = name.ends_with(".lora_a");
  if (!name.starts_with(start) || !(is_a || name.ends_with(".lora_b"))) return std::nullopt;
  name = name.substr(start.size(), name.size() - start.size() - std::string_view(".lora_a").size());
  const auto map = hugging_face_map(name);
  if (!map) return std::nullopt;
  return MlxName{*map, is_a ? PairPart::a : PairPart::b};
}

void apply_config(const MlxConfig& config, const std::string& where, RawPairs& layers) {
  const auto count = static_cast<std::int64_t>(layers.size());
  for (std::int64_t layer = 0; layer < count; ++layer) {
    for (const Projection projection : kProjections) {
      const auto at = static_cast<std::size_t>(layer);
      auto& pair = layers[at][static_cast<std::size_t>(projection)];
      const bool converted = config.converts(layer, projection, count);
      if (converted != pair.has_value()) {
        throw FormatError(
            str(module_name(at, projection), converted ? " is chosen by num_layers and keys, but has no tensors"
                                                       : " has tensors, but num_layers and keys leave it out"),
            where, "configuration and tensors must be of one adapter");
      }
      if (!pair) continue;
      SHINE_CHECK(pair->rank == config.rank, FormatError, where, ": \"rank\" is ", config.rank, ", the tensors of ",
                  module_name(at, projection), " have rank ", pair->rank);
      pair->scale = config.scale;
    }
  }
}

}  // namespace

RawAdapter read_mlx(const fs::path& folder, const Json& json, const DecoderConfig& config) {
  const std::string config_where = (folder / kAdapterConfigName).string();
  const MlxConfig mlx = read_config(json, config_where);
  const SafetensorsFile file(folder / kTensorsName);
  RawAdapter adapter{.format = AdapterFormat::mlx, .where = file.path().string()};
  adapter.metadata = identity_of(file.metadata(), adapter.where);
  adapter.metadata.base_model = get_string_or(json, "model", adapter.metadata.base_model, config_where);
  PairCollector pairs(config.lora_spec(), PairLayout::ours, adapter.where);
  for (const std::string& name : file.names()) {
    const auto parsed = parse_name(name);
    if (!parsed) {
      throw UnsupportedError(str("tensor ", quote_text(name), " is not a LoRA of the decoder's seven projections"),
                             adapter.where, "fuse the adapter into the base model with the tool that made it");
    }
    pairs.add(parsed->map, parsed->part, name, file.tensor(name));
  }
  adapter.layers = pairs.finish();
  apply_config(mlx, config_where, adapter.layers);
  return adapter;
}

void write_mlx(const fs::path& folder, const RawAdapter& adapter) {
  NamedRawTensors tensors;
  std::vector<std::string> keys;
  for_each_pair(adapter.layers, [&](AdaptedMap map, const RawPair& pair) {
    const std::string prefix = module_name(map.layer, map.projection) + ".lora_";
    tensors.emplace_back(prefix + "a", pair.a);
    tensors.emplace_back(prefix + "b", pair.b);
    const std::string key(hugging_face_name(map.projection));
    if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  });
  auto metadata = identity_entries(adapter.metadata);
  metadata["format"] = "mlx";
  write_safetensors(folder / kTensorsName, tensors, metadata);
  Json config{{"fine_tune_type", "lora"},
              {"num_layers", adapter.layers.size()},
              {"lora_parameters", {{"rank", rank_of(adapter)}, {"scale", 1.0}, {"dropout", 0.0}, {"keys", keys}}}};
  if (!adapter.metadata.base_model.empty()) config["model"] = adapter.metadata.base_model;
  write_file_atomically(folder / kAdapterConfigName, json_text(config));
}

}  // namespace shine
