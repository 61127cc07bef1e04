#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/unicode/regex.h"

namespace shine {

/// Names of modules as PEFT takes them: a list of their ends, or one regular expression for the whole name.
struct ModuleNames {
  std::vector<std::string> ends;
  std::optional<Regex> whole;

  bool contain(const std::string& module) const;
};

/// A value for the modules whose name, or its end behind a dot, a key of rank_pattern or alpha_pattern matches.
template <class Value>
struct ModulePattern {
  std::string key;
  Regex regex;
  Value value;
};

/// What PEFT's adapter_config.json says of the modules.
struct PeftConfig {
  std::string where;  ///< the file, for messages
  std::string base_model;
  std::int64_t rank = 0;
  double alpha = 0;
  bool rslora = false;  ///< scale alpha / sqrt(r), else alpha / r
  bool all_linear = false;
  ModuleNames targets, excluded;
  std::vector<std::int64_t> layers;  ///< empty: all
  std::vector<ModulePattern<std::int64_t>> ranks;
  std::vector<ModulePattern<double>> alphas;

  /// Whether PEFT would put a LoRA on module "model.layers.N.<..>" of this layer.
  bool targets_module(std::int64_t layer, const std::string& module) const;
  /// Throw FormatError where two patterns with different values match the module.
  std::int64_t rank_of(const std::string& module) const;
  double scale_of(const std::string& module) const;
};

/// @param json   the file's content
/// Throws FormatError (a key of a wrong type or value, a missing one) and UnsupportedError, which names the key (DoRA,
/// biases, modules_to_save, an initialisation that changes the base weights, an unknown key with a value).
PeftConfig read_peft_config(const nlohmann::json& json, const std::string& where);

}  // namespace shine
