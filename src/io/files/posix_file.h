#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <utility>

namespace shine {

/// Throws IoError "path: cannot <action>: <the system's reason>" from errno.
[[noreturn]] void throw_errno(std::string_view action, const std::filesystem::path& path);

/// An open file, closed by the destructor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;

  int number() const { return number_; }
  /// Closes now; throws IoError where the system reports a late write fault.
  void close(const std::filesystem::path& path);

 private:
  int number_;
};

/// Opens a regular file (links are followed) for reading; throws IoError.
FileDescriptor open_for_reading(const std::filesystem::path& path);

/// Bytes to ask for at a time so that a small file comes with one short buffer: its size and one more, within 4 KiB and
/// 1 MiB.
std::size_t read_chunk(const FileDescriptor& file);

/// Reads up to `bytes`, fewer only at the end of the file; throws IoError.
std::size_t read_some(const FileDescriptor& file, char* into, std::size_t bytes, const std::filesystem::path& path);

/// Forces a file's or a folder's content to the disk; throws IoError.
void sync_path(const std::filesystem::path& path);

/// The regular file, there or to be made, that writing to `path` means: links are followed. Throws IoError where it
/// leads to something else (a device, a pipe, a folder), to what the program prints to, or nowhere.
std::filesystem::path file_to_write(const std::filesystem::path& path);

/// A file under a temporary name beside its final one until commit(); removed if commit() is never reached. Where the
/// final one is a link, its target is replaced and the link stays; permissions of a file that is replaced are kept.
class PendingFile {
 public:
  /// Throws IoError as file_to_write, and where no file can be made there.
  explicit PendingFile(const std::filesystem::path& final_path);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Syncs the file, renames it and syncs the folder.
  void commit();

 private:
  std::filesystem::path final_path_;
  std::filesystem::path partial_path_;
  FileDescriptor file_;
  bool committed_ = false;
};

}  // namespace shine
