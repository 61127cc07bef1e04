#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/yaml_tree.h"
#include "shine/config/faults.h"

namespace shine {

/// The file's keys laid over those of its base files, then the overrides. Throws IoError when the file itself cannot
/// be read, ConfigError when a file cannot be parsed.
YamlNode load_config_tree(const std::filesystem::path& file, const std::vector<std::string>& overrides, Faults& faults);

}  // namespace shine
