#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "shine/io/mapped_file.h"

namespace shine {

/// The entries of a zip file that are stored as they are, as torch.save writes them (zip64 records included). Refused:
/// compressed or encrypted entries, archives in parts, comments, entries that overlap or reach outside.
class StoredZip {
 public:
  /// Throws FormatError.
  explicit StoredZip(std::shared_ptr<const MappedFile> file);

  const std::map<std::string, std::span<const std::byte>>& entries() const { return entries_; }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, std::span<const std::byte>> entries_;
};

}  // namespace shine
