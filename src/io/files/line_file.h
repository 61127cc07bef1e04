#pragma once

#include <filesystem>
#include <fstream>
#include <string>

namespace shine {

/// Lines appended to a file, each flushed to the system when it is written.
class LineFile {
 public:
  /// Starts with `so_far`, whole lines. Throws IoError.
  LineFile(const std::filesystem::path& path, const std::string& so_far);

  /// @param lines  each with its newline. Throws IoError where they cannot be written.
  void append(const std::string& lines);

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace shine
