#include <nlohmann/json.hpp>

#include "adapter/adapter_forms.h"
#include "adapter/pair_collector.h"
#include "adapter/peft_config.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSuffixA = ".lora_A.weight", kSuffixB = ".lora_B.weight";

struct PeftName {
  MapPlace place;
  Half half = Half::a;
};

PeftName parse_name(std::string_view name, const std::string& where) {
  std::string_view path = name;
  const bool is_a = path.ends_with(kSuffixA);
  if (path.starts_with(kPrefix) && (is_a || path.ends_with(kSuffixB))) {
    path.remove_prefix(kPrefix.size());
    path.remove_suffix(std::min(path.size(), kSuffixA.size()));
    if (const auto place = parse_module_path(path)) return {*place, is_a ? Half::a : Half::b};
  }
  throw FormatError(
      str("tensor ", quote_text(name), " is for no map that can be adapted here (q, k, v, o, gate, up, down)"), where,
      str("expected ", kPrefix, "model.layers.N.self_attn.q_proj", kSuffixA, " and the like"));
}

/// The files of the weights: one, or the shards of an index.
std::vector<fs::path> weight_files(const fs::path& folder) {
  if (fs::exists(folder / kPeftWeightsFile)) return {folder / kPeftWeightsFile};
  const fs::path index = folder / (std::string(kPeftWeightsFile) + ".index.json");
  if (fs::exists(index)) {
    const std::string where = index.string();
    std::vector<fs::path> files;
    for (const auto& [tensor, shard] : get_object(read_json_file(index), "weight_map", where).items()) {
      SHINE_CHECK(shard.is_string(), FormatError, where, ": ", quote_text(tensor), ": expected the name of a file");
      const fs::path name = shard.get<std::string>();
      SHINE_CHECK(name == name.filename() && name != ".." && name != ".", FormatError, where, ": ",
                  quote_text(name.string()), " is no file of the folder");
      if (std::ranges::find(files, folder / name) == files.end()) files.push_back(folder / name);
    }
    return files;
  }
  if (fs::exists(folder / "adapter_model.bin")) {
    throw UnsupportedError("adapter_model.bin, a pickle, is not read", folder.string(),
                           "save it again with PEFT: save_pretrained(.., safe_serialization=True)");
  }
  throw IoError(str("no ", kPeftWeightsFile), folder.string());
}

/// A module that the configuration adapts and the file has no weights for: PEFT would leave it as it was made.
void require_all_targets(const PeftConfig& config, const RawAdapter& adapter) {
  for (std::size_t layer = 0; layer < adapter.layers.size(); ++layer) {
    for (const Projection projection : kProjections) {
      const MapPlace place{static_cast<std::int64_t>(layer), projection};
      if (adapter.layers[layer][static_cast<std::size_t>(projection)] || !config.targets(place)) continue;
      throw FormatError(str("target_modules names ", module_path(place), ", which has no lora_A and lora_B"),
                        adapter.where);
    }
  }
}

void apply(const PeftConfig& config, RawAdapter& adapter) {
  for (std::size_t layer = 0; layer < adapter.layers.size(); ++layer) {
    for (const Projection projection : kProjections) {
      std::optional<RawPair>& pair = adapter.layers[layer][static_cast<std::size_t>(projection)];
      if (!pair) continue;
      const MapPlace place{static_cast<std::int64_t>(layer), projection};
      SHINE_CHECK(config.targets(place), FormatError, config.where(), ": target_modules does not name ",
                  module_path(place), ", for which there are weights");
      SHINE_CHECK(config.rank(place) == pair->rank, FormatError, config.where(), ": the rank of ", module_path(place),
                  " is ", config.rank(place), ", that of its weights ", pair->rank);
      pair->scale = config.scale(place);
    }
  }
}

}  // namespace

RawAdapter read_peft(const fs::path& path, const DecoderConfig& config) {
  const PeftConfig peft(path / kPeftConfigFile);
  RawAdapter adapter;
  adapter.format = AdapterFormat::peft;
  adapter.where = path.string();
  PairCollector pairs(config.lora_spec(), PairLayout::transposed, adapter.where);
  for (const fs::path& file : weight_files(path)) {
    const SafetensorsFile tensors(file);
    for (const std::string& name : tensors.names()) {
      const PeftName parsed = parse_name(name, file.string());
      pairs.add(parsed.place, parsed.half, name, tensors.tensor(name));
    }
    adapter.metadata = metadata_from([&](const char* key) {
      const auto found = tensors.metadata().find(key);
      return found == tensors.metadata().end() ? std::string() : found->second;
    });
  }
  adapter.layers = pairs.finish();
  apply(peft, adapter);
  require_all_targets(peft, adapter);
  if (adapter.metadata.base_model.empty()) adapter.metadata.base_model = peft.base_model();
  return adapter;
}

void write_peft(const fs::path& folder, const WrittenAdapter& adapter) {
  NamedRawTensors tensors;
  std::vector<std::string> modules;
  for (const WrittenMap& map : adapter.maps) {
    const std::string path = str(kPrefix, module_path(map.place));
    tensors.emplace_back(str(path, kSuffixA), map.a);
    tensors.emplace_back(str(path, kSuffixB), map.b);
    const std::string module(module_name(map.place.projection));
    const std::string last = module.substr(module.find('.') + 1);
    if (std::ranges::find(modules, last) == modules.end()) modules.push_back(last);
  }
  std::map<std::string, std::string> metadata{{"format", "pt"}};
  for (const auto& [key, value] : metadata_pairs(adapter.metadata)) metadata.emplace(key, value);
  write_safetensors(folder / kPeftWeightsFile, tensors, metadata);
  const nlohmann::ordered_json config{
      {"peft_type", "LORA"},   {"task_type", "CAUSAL_LM"},   {"base_model_name_or_path", adapter.metadata.base_model},
      {"r", adapter.rank},     {"lora_alpha", adapter.rank},  // the scale is in A and B
      {"lora_dropout", 0.0},   {"target_modules", modules},  {"bias", "none"},
      {"use_rslora", false},   {"use_dora", false},          {"fan_in_fan_out", false},
      {"inference_mode", true}};
  write_file_atomically(folder / kPeftConfigFile, config.dump(2) + "\n");
}

}  // namespace shine
