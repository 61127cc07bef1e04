#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "shine/common/api.h"

namespace shine {

/// The ids that end an answer of a model, as `transformers` finds them: eos_token_id (a number or several) in the
/// generation_config.json beside the model's config.json; where there is no such file, in config.json. May be empty.
/// Throws IoError (no config.json either), FormatError.
SHINE_API std::vector<std::int64_t> read_end_tokens(const std::filesystem::path& config_json);

}  // namespace shine
