#include "fuzz/fuzz_target.h"

#include <sys/mman.h>
#include <unistd.h>

#include <numeric>

namespace shine::fuzz {

MemoryFile::MemoryFile() : number_(::memfd_create("fuzz", MFD_CLOEXEC)), path_(str("/proc/self/fd/", number_)) {
  require(number_ >= 0, "memfd_create succeeds");
}

MemoryFile::~MemoryFile() {
  ::close(number_);
}

void MemoryFile::write(std::string_view content) {
  require(::ftruncate(number_, 0) == 0, "the file can be cut");
  const auto written = ::pwrite(number_, content.data(), content.size(), 0);
  require(written == static_cast<ssize_t>(content.size()), "the file can be written");
}

std::size_t sum_of(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::size_t{0},
                         [](std::size_t sum, std::byte byte) { return sum + std::to_integer<std::size_t>(byte); });
}

}  // namespace shine::fuzz
