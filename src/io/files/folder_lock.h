#pragma once

#include <filesystem>
#include <string_view>

#include "io/files/posix_file.h"

namespace shine {

/// Held while one process works in a folder; the system gives it back when the process ends, however that is. It stands
/// on an empty file `lock`, which stays.
class FolderLock {
 public:
  enum class Held { wait, refuse };  ///< what to do where another process holds it

  /// @param fault  what is said where it is refused: "another process writes this store"
  /// Throws IoError.
  FolderLock(const std::filesystem::path& folder, Held held, std::string_view fault = {});

 private:
  FileDescriptor file_;
};

}  // namespace shine
