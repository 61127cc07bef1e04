#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "shine/common/api.h"

namespace shine {

/// Which step checkpoints stay.
struct KeepRules {
  std::int64_t last = 2;   ///< so many of the newest
  std::int64_t every = 0;  ///< and all whose step is a multiple of this; 0: none
};

/// The step checkpoints of one run, in `<run>/checkpoints/step-<n>`.
class SHINE_API CheckpointStore {
 public:
  explicit CheckpointStore(std::filesystem::path run_folder, KeepRules keep = {});

  /// Saves, then removes what the rules do not keep and what a killed save left behind. Throws IoError if the step
  /// already has a complete checkpoint.
  void save(const CheckpointContents& contents) const;

  /// Folders with the mark DONE, by step, the newest first. Throws IoError where they cannot be listed.
  std::vector<std::filesystem::path> complete() const;

  struct Found {
    std::filesystem::path folder;
    Checkpoint checkpoint;
  };

  /// The newest checkpoint whose checksums hold, read in full. A damaged one is set aside as "step-<n>.damaged", so
  /// that the step can be saved again, and `on_damage` is told why. Nothing if the run has no checkpoint. Throws
  /// FormatError if it has some and none is intact (none is set aside then), IoError if one cannot be read.
  std::optional<Found> newest_intact(const std::function<void(const std::string& reason)>& on_damage) const;

  std::filesystem::path folder_of(std::int64_t step) const;

 private:
  std::filesystem::path folder_;
  KeepRules keep_;
};

}  // namespace shine
