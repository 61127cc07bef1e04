#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace shine {

/// JSON lines, one object a metric event, flushed as written. Every object has `kind` and `step`.
class MetricsFile {
 public:
  /// Appends to `path`, after dropping the lines of steps above `last_step` and a half-written last line: what a run
  /// wrote beyond the checkpoint it resumes from. Throws IoError.
  MetricsFile(const std::filesystem::path& path, std::int64_t last_step);

  /// Throws IoError when the line cannot be written.
  void write(const nlohmann::ordered_json& event);

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

/// First and last loss of one validation set over a whole run, whatever processes ran it.
struct ValidationTrace {
  std::string set;
  std::int64_t first_step = 0, last_step = 0;
  double first_loss = 0.0, last_loss = 0.0;
};

/// The validation events of a metrics file, by set in the order of their first event; empty where there is no file.
std::vector<ValidationTrace> read_validation_traces(const std::filesystem::path& path);

}  // namespace shine
