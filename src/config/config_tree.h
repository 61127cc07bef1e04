#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/faults.h"
#include "config/yaml_tree.h"

namespace shine {

inline constexpr std::size_t kLongestChain = 8;                   ///< files that inherit from each other
inline constexpr std::size_t kOverrideLayer = kLongestChain + 1;  ///< YamlNode::layer of what overrides set

/// The file's keys laid over those of its base files, then the overrides. Throws IoError when the file itself cannot
/// be read, ConfigError when a file cannot be parsed.
YamlNode load_config_tree(const std::filesystem::path& file, const std::vector<std::string>& overrides, Faults& faults);

}  // namespace shine
