#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "adapter/formats.h"
#include "adapter/identity.h"
#include "adapter/pair_collector.h"
#include "adapter/peft_config.h"
#include "io/files/text_file.h"
#include "io/json/quote_text.h"
#include "io/safetensors/model_files.h"
#include "io/torch_format/torch_pickle.h"
#include "io/wrapped_names.h"
#include "shine/common/error.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStem = "adapter_model";
constexpr const char* kSafetensorsName = "adapter_model.safetensors";
constexpr const char* kPickleName = "adapter_model.bin";

struct PeftName {
  AdaptedMap map;
  PairPart part = PairPart::a;
  std::string_view adapter;  ///< the name inside "lora_A.default.weight"; usually none
};

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// "base_model.model.model.layers.N.<module>.lora_A.weight", also without parts of what stands before "layers".
std::optional<PeftName> parse_name(std::string_view name) {
  take_prefix(name, "base_model.model.");
  take_prefix(name, "model.");
  constexpr std::string_view end = ".weight";
  if (!take_prefix(name, "layers.") || !name.ends_with(end)) return std::nullopt;
  name.remove_suffix(end.size());
  const std::size_t half = name.find(".lora_");
  if (half == std::string_view::npos) return std::nullopt;
  const auto map = hugging_face_map(name.substr(0, half));
  std::string_view rest = name.substr(half + 1);
  const bool is_a = rest.starts_with("lora_A");
  if (!map || !(take_prefix(rest, "lora_A") || take_prefix(rest, "lora_B"))) return std::nullopt;
  if (!rest.empty() && (!take_prefix(rest, ".") || rest.empty() || rest.find('.') != std::string_view::npos)) {
    return std::nullopt;
  }
  return PeftName{*map, is_a ? PairPart::a : PairPart::b, rest};
}

[[noreturn]] void refuse_name(const std::string& name, const std::string& where) {
  const auto holds = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  std::string_view what = "is not a LoRA of the decoder's seven projections";
  if (holds("lora_magnitude_vector")) what = "belongs to DoRA";
  if (holds("lora_embedding")) what = "is a LoRA of an embedding";
  if (holds("modules_to_save")) what = "is a whole weight (modules_to_save)";
  throw UnsupportedError(str("tensor ", quote_text(name), " ", what), where,
                         "merge the adapter into the base model with the tool that made it");
}

/// Sets the adapter's metadata and `where` too.
RawTensorDict read_tensors(const fs::path& folder, RawAdapter& adapter) {
  const fs::path single = folder / kSafetensorsName, index = folder / str(kSafetensorsName, ".index.json");
  if (!is_there(single) && !is_there(index) && is_there(folder / kPickleName)) {
    adapter.where = (folder / kPickleName).string();
    NamedRawTensors tensors = flatten_tensors(read_torch_file(adapter.where), adapter.where);
    return {tensors.begin(), tensors.end()};
  }
  adapter.where = (is_there(single) ? single : index).string();
  if (is_there(single)) adapter.metadata = identity_of(SafetensorsFile(single).metadata(), adapter.where);
  const ModelFiles files(folder, kStem);
  RawTensorDict tensors;
  for (const std::string& name : files.names()) tensors.emplace(name, files.tensor(name));
  return tensors;
}

/// Every module that the configuration names has its pair and no other one; ranks and scales are those of the
/// configuration.
void apply_config(const PeftConfig& config, RawPairs& layers) {
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (const Projection projection : kProjections) {
      auto& pair = layers[layer][static_cast<std::size_t>(projection)];
      const std::string module = module_name(layer, projection);
      const bool targeted = config.targets_module(static_cast<std::int64_t>(layer), module);
      if (targeted != pair.has_value()) {
        throw FormatError(str(module, targeted ? " is among target_modules, but has no tensors"
                                               : " has tensors, but is not among target_modules"),
                          config.where, "configuration and tensors must be of one adapter");
      }
      if (!pair) continue;
      const std::int64_t rank = config.rank_of(module);
      SHINE_CHECK(pair->rank == rank, FormatError, config.where, ": ", module, " has rank ", rank,
                  ", its tensors have rank ", pair->rank);
      pair->scale = config.scale_of(module);
    }
  }
}

nlohmann::json config_of(const RawAdapter& adapter, const std::vector<std::string>& targets) {
  using Json = nlohmann::json;
  const std::string& base = adapter.metadata.base_model;
  const std::int64_t rank = rank_of(adapter);
  return {{"alpha_pattern", Json::object()},
          {"auto_mapping", nullptr},
          {"base_model_name_or_path", base.empty() ? Json() : Json(base)},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"inference_mode", true},
          {"init_lora_weights", true},
          {"lora_alpha", rank},
          {"lora_dropout", 0.0},
          {"modules_to_save", nullptr},
          {"peft_type", "LORA"},
          {"r", rank},
          {"rank_pattern", Json::object()},
          {"target_modules", targets},
          {"task_type", "CAUSAL_LM"},
          {"use_dora", false},
          {"use_rslora", false}};
}

}  // namespace

RawAdapter read_peft(const fs::path& folder, const nlohmann::json& json, const DecoderConfig& config) {
  const PeftConfig peft = read_peft_config(json, (folder / kAdapterConfigName).string());
  RawAdapter adapter{.format = AdapterFormat::peft};
  const RawTensorDict tensors = read_tensors(folder, adapter);
  PairCollector pairs(config.lora_spec(), PairLayout::transposed, adapter.where);
  std::optional<std::string> adapter_name;
  for (const auto& [name, tensor] : tensors) {
    const std::string plain = without_wrappers(name);
    const auto parsed = parse_name(plain);
    if (!parsed) refuse_name(name, adapter.where);
    const std::string own_name(parsed->adapter);
    if (adapter_name.value_or(own_name) != own_name) {
      throw FormatError(str("tensor ", quote_text(name), " is of adapter ", quote_text(own_name), ", others are of ",
                            quote_text(*adapter_name)),
                        adapter.where, "save one adapter alone");
    }
    adapter_name = own_name;
    pairs.add(parsed->map, parsed->part, name, tensor);
  }
  adapter.layers = pairs.finish();
  apply_config(peft, adapter.layers);
  if (!peft.base_model.empty()) adapter.metadata.base_model = peft.base_model;
  return adapter;
}

void write_peft(const fs::path& folder, const RawAdapter& adapter) {
  NamedRawTensors tensors;
  std::vector<std::string> targets;
  for_each_pair(adapter.layers, [&](AdaptedMap map, const RawPair& pair) {
    const std::string prefix = str("base_model.model.", module_name(map.layer, map.projection), ".lora_");
    tensors.emplace_back(prefix + "A.weight", pair.a);
    tensors.emplace_back(prefix + "B.weight", pair.b);
    const std::string_view name = hugging_face_name(map.projection);
    const std::string target(name.substr(name.find('.') + 1));
    if (std::ranges::find(targets, target) == targets.end()) targets.push_back(target);
  });
  auto metadata = identity_entries(adapter.metadata);
  metadata["format"] = "pt";  // PEFT and transformers ask for it
  write_safetensors(folder / kSafetensorsName, tensors, metadata);
  write_file_atomically(folder / kAdapterConfigName, json_text(config_of(adapter, targets)));
}

}  // namespace shine
