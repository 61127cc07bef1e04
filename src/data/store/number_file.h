#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "io/files/posix_file.h"

namespace shine {

/// Numbers (uint32) on their way into a file, which is complete or absent under its name.
class NumberFile {
 public:
  explicit NumberFile(const std::filesystem::path& path) : file_(path) {}

  void add(std::uint64_t number) {
    buffer_.push_back(static_cast<std::uint32_t>(number));
    if (buffer_.size() == kBuffered) flush();
  }

  void flush() {
    file_.write(buffer_.data(), buffer_.size() * sizeof buffer_[0]);
    buffer_.clear();
  }

  PendingFile& file() { return file_; }

 private:
  static constexpr std::size_t kBuffered = std::size_t{1} << 18;
  PendingFile file_;
  std::vector<std::uint32_t> buffer_;
};

}  // namespace shine
