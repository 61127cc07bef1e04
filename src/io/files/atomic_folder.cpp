#include "io/files/atomic_folder.h"

#include <unistd.h>

#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "io/files/folder_mark.h"
#include "io/files/posix_file.h"
#include "io/files/text_file.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr const char* kPartialInfix = ".partial-";

namespace fs = std::filesystem;

/// Absolute and without a trailing slash, so that a suffix can follow and a parent exists.
fs::path normalized(const fs::path& folder) {
  fs::path path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

/// Makes the folder and its parents; what was made survives a power cut.
void create_folders(const fs::path& folder) {
  std::vector<fs::path> made;
  for (fs::path path = folder; !fs::exists(path); path = path.parent_path()) made.push_back(path);
  fs::create_directories(folder);
  for (const fs::path& path : made) sync_path(path.parent_path());
}

void require_absent(const fs::path& path) {
  if (fs::symlink_status(path).type() != fs::file_type::not_found) {
    throw IoError("the folder exists already", path.string(), "remove it or choose another name");
  }
}

void sync_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory() || entry.is_regular_file()) sync_path(entry.path());
  }
}

/// Runs a step whose filesystem faults become IoErrors.
template <class Step>
void guarded(const char* action, const fs::path& path, Step&& step) {
  try {
    step();
  } catch (const fs::filesystem_error& fault) {
    throw IoError(str("cannot ", action, ": ", fault.code().message()), path.string());
  }
}

}  // namespace

void make_folder(const fs::path& folder, std::string_view key, std::string_view cure) {
  std::error_code fault;
  fs::create_directories(folder, fault);
  if (!fault) return;
  throw IoError("cannot make the folder: " + fault.message(), str(key, key.empty() ? "" : " ", folder.string()), cure);
}

FolderWriter::FolderWriter(const fs::path& final_path, FolderMark mark) : mark_(mark) {
  guarded("create", final_path, [&] {
    final_path_ = normalized(final_path);
    partial_path_ = final_path_;
    partial_path_ += str(kPartialInfix, ::getpid());
    require_absent(final_path_);
    fs::remove_all(partial_path_);
    create_folders(partial_path_);
  });
}

FolderWriter::~FolderWriter() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(partial_path_, ignored);
}

void FolderWriter::commit() {
  guarded("complete", final_path_, [&] {
    require_absent(final_path_);
    sync_tree(partial_path_);
    if (mark_ == FolderMark::done) {
      write_file_atomically(partial_path_ / kFolderMarkName, folder_mark_text(partial_path_));
    }
    if (std::rename(partial_path_.c_str(), final_path_.c_str()) != 0) throw_errno("rename to", final_path_);
    committed_ = true;
    sync_path(final_path_.parent_path());
  });
}

bool is_complete(const fs::path& folder) {
  std::error_code ignored;
  if (normalized(folder).filename().string().find(kPartialInfix) != std::string::npos) return false;
  return fs::is_regular_file(folder / kFolderMarkName, ignored);
}

void remove_folder(const fs::path& folder) {
  guarded("remove", folder, [&] {
    const fs::file_type type = fs::symlink_status(folder).type();
    if (type == fs::file_type::not_found) return;
    if (type != fs::file_type::directory) throw IoError("expected a folder", folder.string());
    if (fs::remove(folder / kFolderMarkName)) sync_path(folder);
    fs::remove_all(folder);
  });
}

void remove_partial_entries(const fs::path& parent) {
  guarded("list", parent, [&] {
    if (!fs::is_directory(parent)) return;
    std::vector<fs::path> partial;
    for (const auto& entry : fs::directory_iterator(parent)) {
      if (entry.path().filename().string().find(kPartialInfix) != std::string::npos) partial.push_back(entry.path());
    }
    for (const fs::path& path : partial) fs::remove_all(path);
  });
}

}  // namespace shine
