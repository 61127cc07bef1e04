#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/faults.h"
#include "config/fields.h"
#include "shine/common/api.h"

namespace shine {

/// Where the keys of a configuration were set.
struct ConfigOrigins {
  std::string file;                           ///< the file that was read; empty for a config made in code
  std::map<std::string, std::string> places;  ///< "model.path" -> "configs/x.yaml:12" or "override `model.path=..`"
  std::map<std::string, std::size_t> layers;  ///< which source last set or removed a key; a later one is larger
  std::set<std::string> broken;               ///< keys whose value was refused, or that a misspelt key was meant for

  bool is_set(const std::string& key) const { return places.count(key) != 0; }
  /// The place that set the key; for a default, the file.
  std::string place(const std::string& key) const;
  /// Base files come before the files that name them, all overrides come last, as one layer; 0 = a default.
  std::size_t layer(const std::string& key) const;
  /// Did an override set the key, or remove it?
  bool is_overridden(const std::string& key) const;
  /// Did the file itself, not one that it inherits from?
  bool is_set_in_file(const std::string& key) const;
};

/// Who wrote a configuration file. One saved by a program may come from an earlier version: its keys may have their
/// former names.
enum class WrittenBy { user, program };

/// Reads a YAML file, the files it inherits from (`base: other.yaml`, relative to the file) and then the overrides
/// (`key.path=value`, the value in YAML; the last of a key wins) into the members. Keys that are not set keep their
/// value; `key: null` takes an inherited value away, while an empty group changes nothing. Faults of form, type, range
/// and unknown keys are added to `faults`, each with its place; for an unknown key a near one that has an effect with
/// the other values is suggested first. Refused: duplicate keys, anchors, aliases, tags, tabs in the indentation,
/// several documents, files above 1 MiB.
ConfigOrigins read_fields(const FieldList& list, const std::filesystem::path& file,
                          const std::vector<std::string>& overrides, Faults& faults,
                          WrittenBy writer = WrittenBy::user);

/// YAML of all keys but those in `skip`; read_fields gets the same values back.
std::string fields_yaml(const FieldList& list, const std::set<std::string>& skip = {});

/// "key: a -> b" for each key whose value differs; both lists come from the same struct type.
/// @param counts  which keys are compared; absent: all
std::vector<std::string> compare_fields(const FieldList& a, const FieldList& b,
                                        const std::function<bool(const Field&)>& counts = {});

/// A key without effect in this configuration, and why.
struct UnusedKey {
  std::string key;                  ///< "hypernetwork.lora_rank"
  std::vector<std::string> causes;  ///< keys whose values make it so: {"stage.name"}
  std::string reason;               ///< "with stage backbone"
};

/// The keys without effect, by the rules in their declarations (KeyTraits::unused), in order.
std::vector<UnusedKey> unused_fields(const FieldList& list);

/// Keys by group, with type, present value and meaning.
/// @param name  a group ("hypernetwork": its keys and those of the groups in it), a key ("optimizer.clip"), or the last
///              word of one ("lora_rank": all of that name); empty: all. Throws ConfigError for any other.
SHINE_API std::string fields_help(const FieldList& list, const std::string& name = "");

/// Reads a struct that has visit(); throws ConfigError with all faults.
template <class Config>
ConfigOrigins read_config(Config& config, const std::filesystem::path& file,
                          const std::vector<std::string>& overrides = {}) {
  Faults faults;
  ConfigOrigins origins = read_fields(fields_of(config), file, overrides, faults);
  faults.throw_if_any(file.string());
  return origins;
}

template <class Config>
std::string config_yaml(Config config) {
  return fields_yaml(fields_of(config));
}

template <class Config>
std::vector<std::string> compare_configs(Config a, Config b, const std::function<bool(const Field&)>& counts = {}) {
  return compare_fields(fields_of(a), fields_of(b), counts);
}

template <class Config>
std::vector<UnusedKey> unused_keys(Config config) {
  return unused_fields(fields_of(config));
}

/// fields_help with the struct's defaults.
template <class Config>
std::string config_help(const std::string& name = "") {
  Config defaults;
  return fields_help(fields_of(defaults), name);
}

}  // namespace shine
