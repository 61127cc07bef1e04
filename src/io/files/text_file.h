#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

/// The whole file, bytes as they are. Throws IoError (missing, unreadable, not a regular file), FormatError (more than
/// `max_bytes`).
SHINE_API std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes = kMaxTextBytes);

/// Writes a temporary file beside `path`, syncs it, renames it to `path` and syncs the folder: after a crash `path`
/// holds the old content or the new. Throws IoError naming the path; the temporary file is removed then.
SHINE_API void write_file_atomically(const std::filesystem::path& path, std::string_view content);

}  // namespace shine
