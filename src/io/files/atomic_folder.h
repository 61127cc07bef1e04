#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// Makes the folder and its parents if absent. Throws IoError.
/// @param key, cure  what names the folder, and what else a user can do, for the message; may be empty
SHINE_API void make_folder(const std::filesystem::path& folder, std::string_view key = {}, std::string_view cure = {});

/// Whether a folder gets the mark DONE; foreign layouts have none.
enum class FolderMark { done, none };

/// Writes a folder so that it is either complete or absent under its name: made aside as "<name>.partial-<pid>",
/// synced, marked with a file DONE that holds size and checksum (XXH3, 64 bits) of every other file, renamed. A reader
/// takes only folders for which is_complete holds.
class FolderWriter {
 public:
  /// Makes the partial folder, and the parents of `final_path` where absent. An older partial folder of this process is
  /// replaced. Throws IoError, also where `final_path` exists already.
  explicit FolderWriter(const std::filesystem::path& final_path, FolderMark mark = FolderMark::done);

  /// Removes the partial folder unless commit() succeeded.
  ~FolderWriter();
  FolderWriter(const FolderWriter&) = delete;
  FolderWriter& operator=(const FolderWriter&) = delete;

  /// Where the files go until commit().
  const std::filesystem::path& path() const { return partial_path_; }

  /// Syncs every file, writes the mark, renames the folder to its final path and syncs the parent. Throws IoError.
  void commit();

 private:
  std::filesystem::path final_path_;
  std::filesystem::path partial_path_;
  FolderMark mark_;
  bool committed_ = false;
};

/// True if the folder was committed and not (partly) removed since.
bool is_complete(const std::filesystem::path& folder);

/// Compares files of a complete folder with their checksums in the mark: the one named, or all that the mark lists.
/// Throws IoError (absent folder, unreadable file), FormatError naming the file (no mark; missing, other size or
/// content).
void verify_file(const std::filesystem::path& folder, const std::string& name);
void verify_folder(const std::filesystem::path& folder);

/// Removes the folder if it exists, its mark first, so that an interrupted removal leaves no complete folder. Throws
/// IoError.
void remove_folder(const std::filesystem::path& folder);

/// Removes the partial files and folders that killed writers left in `parent`, which may be absent. No other process
/// may be writing there. Throws IoError.
SHINE_API void remove_partial_entries(const std::filesystem::path& parent);

}  // namespace shine
