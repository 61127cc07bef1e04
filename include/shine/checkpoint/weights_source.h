#pragma once

#include <filesystem>
#include <string>

#include "shine/common/api.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// Where trained weights come from, and a line for the log that says which folder was taken.
struct WeightsSource {
  std::filesystem::path folder;  ///< a checkpoint of this project, or a folder in the published layout
  bool published = false;
  std::string note;
};

/// The checkpoint that `path` stands for: a checkpoint itself, or a run's folder, of which the checkpoint named by its
/// FINISHED mark is taken; or either in the published layout (find_published_checkpoint). Throws IoError (nothing
/// there), ConfigError (a run that is not finished and `allow_unfinished` is not set; then it is the newest complete
/// checkpoint), FormatError (neither kind of folder).
SHINE_API WeightsSource find_weights(const std::filesystem::path& path, bool allow_unfinished);

/// The tensors of a source, under this project's names. Throws IoError or FormatError.
SHINE_API RawTensorDict read_weights(const WeightsSource& source);

}  // namespace shine
