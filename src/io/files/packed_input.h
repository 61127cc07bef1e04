#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <vector>

#include "io/files/posix_file.h"

namespace shine {

/// Packed bytes of a file, a piece at a time, and the bound of what they may unpack to.
class PackedInput {
 public:
  explicit PackedInput(const std::filesystem::path& path);

  /// Bytes that were not consumed yet; empty only at the end of the file.
  std::string_view peek();
  void consume(std::size_t bytes) { begin_ += bytes; }

  /// Bytes read of the file, those not consumed yet among them.
  std::size_t position() const { return read_; }

  /// Throws FormatError once the file stands for too many bytes.
  void count_unpacked(std::size_t bytes);

  /// Throws FormatError at the file's name.
  [[noreturn]] void fail(std::string_view what, std::string_view cure = {}) const;

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::size_t read_ = 0, unpacked_ = 0;
};

}  // namespace shine
