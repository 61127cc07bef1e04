#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "io/files/text_input.h"

namespace shine {

/// The lines of a file, one in memory at a time.
class TextLines {
 public:
  /// Throws as TextInput.
  TextLines(const std::filesystem::path& path, TextForm form, std::size_t max_line_bytes);

  /// The next line without its newline, valid until the next call; false at the end of the file. Throws FormatError
  /// "name:7: .." (a line over the bound), and as ByteSource::read.
  bool next(std::string_view& line);

  /// Of the line that next() gave, from 1.
  std::size_t number() const { return number_; }

  /// As ByteSource::position: how much of the file was read, for a line that tells how far a program is.
  std::size_t position() const { return source_.position(); }

 private:
  void refill();

  std::filesystem::path path_;
  TextInput source_;
  std::size_t max_line_bytes_;
  std::size_t piece_ = 4096;
  std::string buffer_;
  std::size_t start_ = 0;
  std::size_t number_ = 0;
  bool at_end_ = false;
};

}  // namespace shine
