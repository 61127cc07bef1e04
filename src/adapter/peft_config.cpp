#include "adapter/peft_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxPatterns = 10'000;
constexpr std::size_t kMaxShownBytes = 60;

/// Keys that are read below.
constexpr std::array<std::string_view, 13> kReadKeys{"peft_type",
                                                     "r",
                                                     "lora_alpha",
                                                     "use_rslora",
                                                     "target_modules",
                                                     "exclude_modules",
                                                     "rank_pattern",
                                                     "alpha_pattern",
                                                     "layers_to_transform",
                                                     "layers_pattern",
                                                     "bias",
                                                     "init_lora_weights",
                                                     "base_model_name_or_path"};

/// Keys that do not change what a finished adapter computes, whatever their value. The settings of an initialisation
/// count only where init_lora_weights asks for it; fan_in_fan_out is about layers that no decoder here has.
constexpr std::array<std::string_view, 15> kHarmlessKeys{"auto_mapping",  "corda_config",   "ensure_weight_tying",
                                                         "eva_config",    "fan_in_fan_out", "inference_mode",
                                                         "loftq_config",  "lora_dropout",   "lora_ga_config",
                                                         "megatron_core", "peft_version",   "qalora_group_size",
                                                         "revision",      "runtime_config", "task_type"};

/// Initialisations that leave the base weights as they are.
constexpr std::array<std::string_view, 3> kPlainInitialisations{"gaussian", "eva", "orthogonal"};

bool is_set(const Json& value) {
  return !(value.is_null() || value == false || ((value.is_structured() || value.is_string()) && value.empty()) ||
           value == "");
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kMaxShownBytes) text = text.substr(0, kMaxShownBytes) + "..";
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return text;
}

std::string cure_for(const std::string& key) {
  if (key == "use_dora") return "train it as a plain LoRA, or merge it into the base model";
  if (key == "modules_to_save" || key == "trainable_token_indices") {
    return "whole weights are no LoRA: merge the adapter into the base model";
  }
  return "this key may change the result; leave it out if it does not";
}

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& keys, std::string_view key) {
  return std::ranges::find(keys, key) != keys.end();
}

void refuse_other_keys(const Json& json, const std::string& where) {
  for (const auto& [key, value] : json.items()) {
    if (contains(kReadKeys, key) || contains(kHarmlessKeys, key) || !is_set(value)) continue;
    throw UnsupportedError(str(quote_text(key), ": ", shown(value), " is not supported"), where, cure_for(key));
  }
}

void check_bias(const Json& json, const std::string& where) {
  const std::string bias = get_string_or(json, "bias", "none", where);
  if (bias != "none") {
    throw UnsupportedError(str("\"bias\": ", quote_text(bias), " is not supported"), where,
                           "train it with bias \"none\"");
  }
}

/// PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA begin by changing the base weights: the adapter is for those.
void check_initialisation(const Json& json, const std::string& where) {
  const char* key = "init_lora_weights";
  if (!has_value(json, key, where) || json[key].is_boolean()) return;
  const std::string& name = get_string(json, key, where);
  if (contains(kPlainInitialisations, name)) return;
  throw UnsupportedError(str(quote_text(key), ": ", quote_text(name), " changes the base weights"), where,
                         "save it with path_initial_model_for_weight_conversion, which makes it a plain LoRA");
}

ModuleNames read_names(const Json& json, const std::string& key, const std::string& where) {
  ModuleNames names;
  if (!has_value(json, key, where)) return names;
  const Json& value = json[key];
  if (value.is_string()) {
    if (!value.empty() && value != "") {
      names.whole.emplace(str("^(?:", value.get_ref<const std::string&>(), ")$"), str(where, ": ", key));
    }
    return names;
  }
  for (const Json& name : get_array(json, key, where)) {
    SHINE_CHECK(name.is_string(), FormatError, where, ": ", key, ": expected strings, found ", name.type_name());
    names.ends.push_back(name);
  }
  SHINE_CHECK(names.ends.size() <= kMaxPatterns, FormatError, where, ": ", key, ": ", names.ends.size(),
              " names, expected at most ", kMaxPatterns);
  return names;
}

void read_targets(const Json& json, PeftConfig& config) {
  const std::string key = "target_modules";
  if (!has_value(json, key, config.where) || json[key].empty() || json[key] == "") {
    throw FormatError("\"target_modules\" is missing or empty", config.where, "name the modules that carry the LoRA");
  }
  config.all_linear = json[key].is_string() && json[key] == "all-linear";
  if (!config.all_linear) config.targets = read_names(json, key, config.where);
  config.excluded = read_names(json, "exclude_modules", config.where);
}

void read_layers(const Json& json, PeftConfig& config) {
  const char* key = "layers_to_transform";
  const std::string& where = config.where;
  if (has_value(json, "layers_pattern", where)) {
    const Json& pattern = json["layers_pattern"];
    const bool usual = !is_set(pattern) || pattern == "layers" || pattern == Json::array({"layers"});
    if (!usual) throw UnsupportedError(str("\"layers_pattern\": ", shown(pattern)), where, "\"layers\" is supported");
  }
  if (!has_value(json, key, where)) return;
  if (json[key].is_array()) {
    for (const Json& layer : json[key]) {
      SHINE_CHECK(layer.is_number_integer(), FormatError, where, ": ", key, ": expected integers, found ",
                  layer.type_name());
      config.layers.push_back(layer);
    }
  } else {
    config.layers.push_back(get_int(json, key, where));
  }
  const bool by_regex = config.all_linear || config.targets.whole;
  SHINE_CHECK(config.layers.empty() || !by_regex, FormatError, where, ": ", key,
              " goes with a list of target_modules alone");
}

template <class Value, class Get>
std::vector<ModulePattern<Value>> read_patterns(const Json& json, const std::string& key, const std::string& where,
                                                Get&& get) {
  std::vector<ModulePattern<Value>> patterns;
  if (!has_value(json, key, where)) return patterns;
  const Json& object = get_object(json, key, where);
  SHINE_CHECK(object.size() <= kMaxPatterns, FormatError, where, ": ", key, ": ", object.size(),
              " patterns, expected at most ", kMaxPatterns);
  const std::string place = str(where, ": ", key);
  for (const auto& [pattern, unused] : object.items()) {
    patterns.push_back({pattern, Regex(str("^(?:.*\\.)?(?:", pattern, ")$"), place), get(object, pattern, place)});
  }
  return patterns;
}

std::int64_t read_rank(const Json& json, const std::string& key, const std::string& where) {
  const std::int64_t rank = get_int(json, key, where);
  SHINE_CHECK(rank >= 1, FormatError, where, ": ", quote_text(key), " is ", rank, ", expected 1 or more");
  return rank;
}

template <class Value>
Value value_of(const std::vector<ModulePattern<Value>>& patterns, const std::string& module, Value fallback,
               const std::string& where) {
  const ModulePattern<Value>* found = nullptr;
  for (const auto& pattern : patterns) {
    if (!pattern.regex.matches(module)) continue;
    if (found != nullptr && found->value != pattern.value) {
      throw FormatError(str("the patterns ", quote_text(found->key), " and ", quote_text(pattern.key), " give ", module,
                            " the values ", found->value, " and ", pattern.value),
                        where, "keep one of them for it");
    }
    found = &pattern;
  }
  return found == nullptr ? fallback : found->value;
}

}  // namespace

bool ModuleNames::contain(const std::string& module) const {
  if (whole) return whole->matches(module);
  return std::ranges::any_of(ends, [&](const std::string& end) {
    return module == end ||
           (module.size() > end.size() && module.ends_with(end) && module[module.size() - end.size() - 1] == '.');
  });
}

bool PeftConfig::targets_module(std::int64_t layer, const std::string& module) const {
  if (excluded.contain(module)) return false;
  if (!all_linear && !targets.contain(module)) return false;
  return layers.empty() || std::ranges::find(targets.ends, module) != targets.ends.end() ||
         std::ranges::find(layers, layer) != layers.end();
}

std::int64_t PeftConfig::rank_of(const std::string& module) const {
  return value_of(ranks, module, rank, where);
}

double PeftConfig::scale_of(const std::string& module) const {
  const auto module_rank = static_cast<double>(rank_of(module));
  return value_of(alphas, module, alpha, where) / (rslora ? std::sqrt(module_rank) : module_rank);
}

PeftConfig read_peft_config(const Json& json, const std::string& where) {
  PeftConfig config;
  config.where = where;
  const std::string& type = get_string(json, "peft_type", where);
  if (type != "LORA") {
    throw UnsupportedError(str("\"peft_type\": ", quote_text(type), " is not supported"), where, "LORA is");
  }
  refuse_other_keys(json, where);
  check_bias(json, where);
  check_initialisation(json, where);
  config.base_model = get_string_or(json, "base_model_name_or_path", "", where);
  config.rank = read_rank(json, "r", where);
  config.alpha = get_double(json, "lora_alpha", where);
  config.rslora = get_bool_or(json, "use_rslora", false, where);
  read_targets(json, config);
  read_layers(json, config);
  config.ranks = read_patterns<std::int64_t>(json, "rank_pattern", where, read_rank);
  config.alphas = read_patterns<double>(json, "alpha_pattern", where, get_double);
  return config;
}

}  // namespace shine
