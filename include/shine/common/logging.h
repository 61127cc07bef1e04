#pragma once

#include <filesystem>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

enum class LogLevel { debug, info, warning, error };

/// Sets the least severe level that is written (default: info).
SHINE_API void set_log_level(LogLevel level);

/// Sets the least severe level that is written to standard error too (default: all that are written).
SHINE_API void set_console_level(LogLevel level);

/// Copies every later message to the end of `path`, which is created if absent; throws IoError.
SHINE_API void add_log_file(const std::filesystem::path& path);

/// Writes one line to standard error and to the log files, with the time.
SHINE_API void log(LogLevel level, std::string_view message);

/// Writes one line to the log files only. Files that cannot be written are skipped silently.
SHINE_API void log_to_files(LogLevel level, std::string_view message);

/// Writes a line the first time it is given in this process: for what holds for every pass.
SHINE_API void log_once(LogLevel level, const std::string& message);

inline void log_info(std::string_view message) {
  log(LogLevel::info, message);
}
inline void log_warning(std::string_view message) {
  log(LogLevel::warning, message);
}

}  // namespace shine
