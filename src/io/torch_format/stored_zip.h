#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "io/files/mapped_file.h"

namespace shine {

/// The entries of a zip file that are stored as they are, as torch.save writes them (zip64 records included). Refused:
/// compressed or encrypted entries, archives in parts, comments, entries that overlap or reach outside.
class StoredZip {
 public:
  struct Entry {
    std::span<const std::byte> bytes;
    std::uint32_t crc = 0;  ///< CRC-32 as recorded; 0 also where the writer recorded none, as torch.save can be told
    bool checked = false;
  };

  /// Reads the directory, not the entries' bytes. Throws FormatError.
  explicit StoredZip(std::shared_ptr<const MappedFile> file);

  const std::map<std::string, Entry>& entries() const { return entries_; }
  bool contains(const std::string& name) const { return entries_.contains(name); }

  /// The bytes of an entry that is there. The first time they are compared with their checksum; throws FormatError
  /// where they differ.
  std::span<const std::byte> read(const std::string& name);

  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace shine
