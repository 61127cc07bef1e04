#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/tensorboard_file.h"
#include "io/files/line_file.h"
#include "shine/common/api.h"

namespace shine {

/// JSON lines, one object a metric event, flushed as written. Every object has `kind`, `step` and `time`.
class MetricsFile {
 public:
  /// Starts with `so_far`, the lines in the checkpoint that the run resumes from: later lines, and one cut off by a
  /// crash, are dropped.
  /// @param tensorboard  folder that holds the same events for TensorBoard; empty: none
  /// Throws IoError.
  MetricsFile(const std::filesystem::path& path, const std::string& so_far,
              const std::filesystem::path& tensorboard = {});

  /// Adds `time`, seconds since the epoch. Throws IoError when the line cannot be written.
  void write(nlohmann::ordered_json event);

  /// All lines written so far. Throws IoError.
  std::string content() const;

 private:
  LineFile file_;
  std::optional<TensorboardFile> tensorboard_;
};

/// First and last loss of one validation set over a whole run, resumes included.
struct ValidationTrace {
  std::string set;
  std::int64_t first_step = 0, last_step = 0;
  double first_loss = 0.0, last_loss = 0.0;
};

/// The validation events of a metrics file, by set in the order of their first event; empty where there is no file.
SHINE_API std::vector<ValidationTrace> read_validation_traces(const std::filesystem::path& path);

}  // namespace shine
