#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shine/common/api.h"

namespace shine {

enum class CheckpointLayout { ours, published };

struct Conversion {
  std::filesystem::path source;                      ///< the checkpoint that was read
  CheckpointLayout layout = CheckpointLayout::ours;  ///< of what was written
  std::int64_t step = 0;
  std::vector<std::pair<std::string, std::uintmax_t>> files;  ///< written: name and bytes, by name
  std::vector<std::string> notes;  ///< which folder was taken, and what has no place in the other layout
};

/// Writes the trained weights and the step of `from` as a new folder `to` in the other layout. `from` is what
/// find_weights takes, an unfinished run too. A checkpoint written in our layout holds weights only: a stage can start
/// from it (stage.init_from), a run cannot resume from it. Tensors stay in their mapped files, so memory use does not
/// grow with them.
/// @param layout  of `to`; by default the one that `from` does not have
/// Throws ConfigError (`from` is in that layout already), FormatError (a damaged file; tensors without a place in the
/// published layout, or missing ones) and IoError, also where `to` exists; nothing is left behind then.
SHINE_API Conversion convert_checkpoint(const std::filesystem::path& from, const std::filesystem::path& to,
                                        std::optional<CheckpointLayout> layout = {});

}  // namespace shine
