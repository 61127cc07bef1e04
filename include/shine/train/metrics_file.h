#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>

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

}  // namespace shine
