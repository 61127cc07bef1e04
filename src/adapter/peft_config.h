#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapter/adapter_names.h"
#include "text/unicode/regex.h"

namespace shine {

/// What PEFT's adapter_config.json says of a LoRA, by PEFT's own rules of matching.
class PeftConfig {
 public:
  /// Throws IoError, FormatError (missing or wrong values), UnsupportedError (another peft_type, DoRA, biases,
  /// modules_to_save, and every key that is not known and not switched off), naming the key.
  explicit PeftConfig(const std::filesystem::path& file);

  /// Whether the map is adapted: target_modules, exclude_modules and layers_to_transform.
  bool targets(const MapPlace& place) const;

  /// r, or what rank_pattern says.
  std::int64_t rank(const MapPlace& place) const;

  /// alpha / r, or alpha / sqrt(r) with use_rslora; alpha as alpha_pattern says.
  double scale(const MapPlace& place) const;

  const std::string& base_model() const { return base_model_; }
  const std::string& where() const { return where_; }

 private:
  /// A list of module names, or one regular expression.
  struct Modules {
    std::vector<std::string> names;
    std::optional<Regex> expression;
    bool all = false;

    bool match(const std::string& path) const;
  };
  template <class Number>
  using Patterns = std::vector<std::pair<Regex, Number>>;

  template <class Number>
  Number value_of(const Patterns<Number>& patterns, const std::string& path, Number fallback, const char* key) const;

  std::string where_, base_model_;
  std::int64_t rank_ = 0;
  double alpha_ = 0.0;
  bool rank_stabilized_ = false;
  Modules target_, exclude_;
  std::optional<std::vector<std::int64_t>> layers_;
  Patterns<std::int64_t> rank_pattern_;
  Patterns<double> alpha_pattern_;
};

}  // namespace shine
