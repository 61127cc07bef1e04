#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shine/adapter/adapter.h"
#include "shine/app/experiment_config.h"
#include "shine/common/api.h"

namespace shine {

/// An adapter as a command line names it: PATH or PATH:WEIGHT.
struct AdapterChoice {
  std::filesystem::path path;
  double weight = 1.0;
};

/// A path that exists as it stands has no weight; `~` at the start is the home folder. Throws ConfigError for a weight
/// that is not finite.
SHINE_API AdapterChoice adapter_choice(const std::string& text);

/// Reads adapters for the backbone in `model`, several as one: combine_adapters. Throws what read_adapter throws,
/// and where `any_backbone` is not set as require_backbone. At least one choice.
SHINE_API Adapter load_adapters(const std::vector<AdapterChoice>& choices, const std::filesystem::path& model,
                                bool any_backbone);

}  // namespace shine
