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

constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxPatterns = 10'000;

/// Keys that are read, and keys that change nothing once an adapter is trained.
constexpr std::array<std::string_view, 24> kKnownKeys{"peft_type",           "r",
                                                      "lora_alpha",          "use_rslora",
                                                      "rank_pattern",        "alpha_pattern",
                                                      "target_modules",      "exclude_modules",
                                                      "layers_to_transform", "base_model_name_or_path",
                                                      "init_lora_weights",   "bias",
                                                      "task_type",           "auto_mapping",
                                                      "peft_version",        "revision",
                                                      "inference_mode",      "lora_dropout",
                                                      "fan_in_fan_out",      "megatron_core",
                                                      "loftq_config",        "eva_config",
                                                      "qalora_group_size",   "layers_pattern"};

bool is_off(const Json& value) {
  if (value.is_null()) return true;
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0.0;
  return (value.is_array() || value.is_object() || value.is_string()) &&
         (value.is_string() ? value == "" : value.empty());
}

void refuse_unknown(const Json& json, const std::string& where) {
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(kKnownKeys, key) != kKnownKeys.end() || is_off(value)) continue;
    throw UnsupportedError(
        str(quote_text(key), ": ", quote_text(value.dump(-1, ' ', false, Json::error_handler_t::replace)),
            " would change the result and is not implemented"),
        where, "use a plain LoRA, or merge the adapter with PEFT");
  }
}

/// PiSSA and its like change the backbone's weights as well, unless their adapter was converted when it was saved.
void check_init(const Json& json, const std::string& where) {
  if (!has_value(json, "init_lora_weights", where)) return;
  const Json& init = json["init_lora_weights"];
  if (init.is_boolean() || init == "gaussian" || init == "eva" || init == "orthogonal") return;
  throw UnsupportedError(
      str("`init_lora_weights`: ", quote_text(init.dump(-1, ' ', false, Json::error_handler_t::replace)),
          " may have changed the backbone's weights too"),
      where, "convert it in PEFT: save_pretrained(.., path_initial_model_for_weight_conversion=..)");
}

template <class Number>
Number number_of(const Json& value, const std::string& key, const std::string& where);

template <>
std::int64_t number_of<std::int64_t>(const Json& value, const std::string& key, const std::string& where) {
  constexpr std::int64_t most = std::int64_t{1} << 20;
  SHINE_CHECK(value.is_number_integer() && value >= 1 && value <= most, FormatError, where, ": `", key,
              "`: expected integers from 1 to ", most);
  return value.get<std::int64_t>();
}

template <>
double number_of<double>(const Json& value, const std::string& key, const std::string& where) {
  SHINE_CHECK(value.is_number() && std::isfinite(value.get<double>()), FormatError, where, ": `", key,
              "`: expected numbers");
  return value.get<double>();
}

Regex expression_of(const std::string& pattern, const std::string& where) {
  return {"^(?:" + pattern + ")$", where};
}

/// PEFT matches a key of rank_pattern with the end of a module's name.
template <class Number>
std::vector<std::pair<Regex, Number>> patterns_of(const Json& json, const char* key, const std::string& where) {
  std::vector<std::pair<Regex, Number>> patterns;
  if (!has_value(json, key, where)) return patterns;
  const Json& object = get_object(json, key, where);
  SHINE_CHECK(object.size() <= kMaxPatterns, FormatError, where, ": `", key, "` has ", object.size(),
              " patterns, expected at most ", kMaxPatterns);
  for (const auto& [pattern, value] : object.items()) {
    patterns.emplace_back(expression_of("(?:.*\\.)?(?:" + pattern + ")", str(where, ": ", key)),
                          number_of<Number>(value, key, where));
  }
  return patterns;
}

std::vector<std::int64_t> layers_of(const Json& json, const std::string& where) {
  constexpr const char* key = "layers_to_transform";
  std::vector<std::int64_t> layers;
  const Json& value = json[key];
  for (const Json& layer : value.is_array() ? value : Json::array({value})) {
    SHINE_CHECK(layer.is_number_integer() && layer >= 0 && layer <= 1'000'000, FormatError, where, ": `", key,
                "`: expected numbers of layers");
    layers.push_back(layer.get<std::int64_t>());
  }
  return layers;
}

}  // namespace

bool PeftConfig::Modules::match(const std::string& path) const {
  if (all) return true;
  if (expression) return expression->matches(path);
  return std::ranges::any_of(names,
                             [&](const std::string& name) { return path == name || path.ends_with("." + name); });
}

PeftConfig::PeftConfig(const std::filesystem::path& file) : where_(file.string()) {
  const Json json = read_json_file(file, kMaxConfigBytes);
  const std::string& type = get_string(json, "peft_type", where_);
  if (type != "LORA") throw UnsupportedError(str("`peft_type`: ", quote_text(type), " is not LORA"), where_);
  const std::string bias = get_string_or(json, "bias", "none", where_);
  if (bias != "none") {
    throw UnsupportedError(str("`bias`: ", quote_text(bias), ": biases of adapters by PEFT are not read"), where_,
                           "train it with bias: none, or merge the adapter with PEFT");
  }
  refuse_unknown(json, where_);
  check_init(json, where_);
  const auto modules_of = [&](const char* key) {
    Modules modules;
    if (!has_value(json, key, where_)) return modules;
    const Json& value = json[key];
    if (value.is_string()) {
      modules.all = value == "all-linear";
      if (!modules.all) modules.expression = expression_of(value.get<std::string>(), str(where_, ": ", key));
      return modules;
    }
    for (const Json& name : get_array(json, key, where_)) {
      SHINE_CHECK(name.is_string(), FormatError, where_, ": `", key, "`: expected names of modules");
      modules.names.push_back(name.get<std::string>());
    }
    return modules;
  };
  base_model_ = get_string_or(json, "base_model_name_or_path", "", where_);
  rank_ = number_of<std::int64_t>(get_member(json, "r", where_), "r", where_);
  alpha_ = get_double(json, "lora_alpha", where_);
  rank_stabilized_ = get_bool_or(json, "use_rslora", false, where_);
  get_member(json, "target_modules", where_);
  target_ = modules_of("target_modules");
  exclude_ = modules_of("exclude_modules");
  if (has_value(json, "layers_to_transform", where_)) layers_ = layers_of(json, where_);
  rank_pattern_ = patterns_of<std::int64_t>(json, "rank_pattern", where_);
  alpha_pattern_ = patterns_of<double>(json, "alpha_pattern", where_);
}

bool PeftConfig::targets(const MapPlace& place) const {
  const std::string path = module_path(place);
  if (exclude_.match(path) || !target_.match(path)) return false;
  // As in PEFT: only with a list of names.
  const bool by_layer = layers_ && !layers_->empty() && !target_.expression && !target_.all;
  return !by_layer || std::ranges::find(*layers_, place.layer) != layers_->end();
}

/// PEFT takes the first of several patterns that match. JSON objects have no order here, so they must agree.
template <class Number>
Number PeftConfig::value_of(const Patterns<Number>& patterns, const std::string& path, Number fallback,
                            const char* key) const {
  std::optional<Number> found;
  for (const auto& [pattern, value] : patterns) {
    if (!pattern.matches(path)) continue;
    if (found && *found != value) {
      throw UnsupportedError(str("`", key, "`: several patterns match ", path, " and give different values"), where_,
                             "name each module once");
    }
    found = value;
  }
  return found.value_or(fallback);
}

std::int64_t PeftConfig::rank(const MapPlace& place) const {
  return value_of(rank_pattern_, module_path(place), rank_, "rank_pattern");
}

double PeftConfig::scale(const MapPlace& place) const {
  const double alpha = value_of(alpha_pattern_, module_path(place), alpha_, "alpha_pattern");
  const auto rank = static_cast<double>(this->rank(place));
  return alpha / (rank_stabilized_ ? std::sqrt(rank) : rank);
}

}  // namespace shine
