#pragma once

#include <filesystem>
#include <string>

namespace shine {

inline constexpr const char* kFolderMarkName = "DONE";

/// Content of the mark: size and checksum of every file below the folder, by its relative name.
std::string folder_mark_text(const std::filesystem::path& folder);

}  // namespace shine
