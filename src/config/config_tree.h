#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shine/config/faults.h"
#include "yaml_tree.h"

namespace shine {

/// The file's keys laid over those of its base files, then the overrides. Throws IoError when the file itself cannot
/// be read, ConfigError when a file cannot be parsed.
YamlNode load_config_tree(const std::filesystem::path& file, const std::vector<std::string>& overrides, Faults& faults);

}  // namespace shine
