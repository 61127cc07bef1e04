#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/files/posix_file.h"

namespace shine {

/// Writes a zip file as torch.save lays it out: entries stored as they are, data at multiples of 64 bytes, sizes and
/// checksum after the data, zip64 fields where 32 bits do not suffice, no times.
class ZipWriter {
 public:
  /// Receives an entry's bytes in pieces, in order.
  using Sink = std::function<void(std::span<const std::byte>)>;

  /// `file` must outlive the writer; nobody else may write to it before finish().
  explicit ZipWriter(PendingFile& file) : file_(file) {}

  /// An entry of `size` bytes, which `fill` passes to its sink. Throws FormatError for a name that was used.
  void add(const std::string& name, std::uint64_t size, const std::function<void(const Sink&)>& fill);
  void add(const std::string& name, std::string_view content);

  /// The zip directory and its end records.
  void finish();

  struct Entry {
    std::string name;
    std::uint64_t size = 0;
    std::uint64_t header_offset = 0;
    std::uint32_t crc = 0;
  };
  /// What was added so far.
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  void write(std::string_view bytes);

  PendingFile& file_;
  std::uint64_t offset_ = 0;  ///< bytes written
  std::vector<Entry> entries_;
  std::set<std::string> names_;
};

}  // namespace shine
