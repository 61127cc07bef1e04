#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

namespace shine {

/// A whole regular file mapped into memory, read-only and private. Nothing is read before it is touched. The file must
/// not be shortened while it is mapped: touching a page beyond the new end kills the process (SIGBUS).
class MappedFile {
 public:
  /// Throws IoError where the file is missing, unreadable or not a regular file.
  explicit MappedFile(const std::filesystem::path& path);

  /// A file whose content is already in memory; messages call it `name`.
  MappedFile(std::filesystem::path name, std::vector<std::byte> content);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// False where there are no pages to give back: see release_pages.
  bool is_mapped() const { return mapped_; }

 private:
  std::filesystem::path path_;
  std::vector<std::byte> content_;  ///< empty where the file is mapped
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool mapped_ = false;
};

/// Returns the memory of the pages that hold `bytes` to the system. `bytes` must be a part of a MappedFile that
/// is_mapped(): they stay valid and are read again when touched. (Other memory would lose its content.)
void release_pages(std::span<const std::byte> bytes);

}  // namespace shine
