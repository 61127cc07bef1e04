#include "io/files/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "io/files/posix_file.h"

namespace shine {

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const FileDescriptor file = open_for_reading(path);
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) throw_errno("inspect", path);
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  void* start = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (start == MAP_FAILED) throw_errno("map", path);
  data_ = static_cast<const std::byte*>(start);
  mapped_ = true;
}

MappedFile::MappedFile(std::filesystem::path name, std::vector<std::byte> content)
    : path_(std::move(name)), content_(std::move(content)), data_(content_.data()), size_(content_.size()) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr && content_.empty()) ::munmap(const_cast<std::byte*>(data_), size_);
}

void release_pages(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t into_page = reinterpret_cast<std::uintptr_t>(bytes.data()) % page;
  // Only a hint: if the system refuses, the pages stay.
  ::madvise(const_cast<std::byte*>(bytes.data()) - into_page, bytes.size() + into_page, MADV_DONTNEED);
}

}  // namespace shine
