#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace shine {

/// Bytes that are no UTF-8 in the records of one file, and what is said about them.
class Repairs {
 public:
  explicit Repairs(const std::filesystem::path& file) : file_(file) {}

  /// Counts a record before it is repaired.
  void count(std::string_view record);

  /// After the last record: throws FormatError where at least a quarter of the bytes are no UTF-8, so that the file is
  /// in another encoding or no text; warns where a tenth of the records were damaged.
  void report() const;

 private:
  std::filesystem::path file_;
  std::size_t records_ = 0, damaged_records_ = 0;
  std::size_t bytes_ = 0, damaged_bytes_ = 0;
};

}  // namespace shine
