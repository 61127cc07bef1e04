#pragma once

#include <zlib.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/expect_fault.h"

namespace shine::test {

/// An entry of a hand-made zip file; the optional fields replace what an honest writer would put.
struct ZipEntry {
  std::string name;
  std::string content;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;
  std::optional<std::uint32_t> stored = {};
  std::optional<std::uint32_t> size = {};
  std::optional<std::uint32_t> header_offset = {};
  std::optional<std::string> local_name = {};
  std::string extra = {};  ///< of the central directory
  std::uint16_t disk = 0;
  std::optional<std::uint32_t> crc = {};  ///< 0: none recorded
};

struct ZipEnd {
  bool zip64 = false;
  std::int64_t extra_entries = 0;
  std::int64_t directory_shift = 0;
  std::int64_t zip64_shift = 0;
  std::uint16_t disk = 0;
  std::string comment = {};
};

inline std::string u16(std::size_t number) {
  return as_bytes(static_cast<std::uint16_t>(number));
}
inline std::string u32(std::size_t number) {
  return as_bytes(static_cast<std::uint32_t>(number));
}
inline std::string u64(std::size_t number) {
  return as_bytes(static_cast<std::uint64_t>(number));
}

inline std::string build_zip(const std::vector<ZipEntry>& entries, const ZipEnd& end = {}) {
  std::string file;
  std::string directory;
  for (const ZipEntry& entry : entries) {
    const std::size_t offset = entry.header_offset.value_or(static_cast<std::uint32_t>(file.size()));
    const std::string local_name = entry.local_name.value_or(entry.name);
    const std::string sizes =
        u32(entry.stored.value_or(entry.content.size())) + u32(entry.size.value_or(entry.content.size()));
    const std::size_t crc = entry.crc.value_or(static_cast<std::uint32_t>(
        ::crc32_z(0, reinterpret_cast<const Bytef*>(entry.content.data()), entry.content.size())));
    const std::string common = u16(0) + u16(entry.flags) + u16(entry.method) + u32(0) + u32(crc) + sizes;
    file += u32(0x04034b50) + common + u16(local_name.size()) + u16(0) + local_name + entry.content;
    directory += u32(0x02014b50) + u16(0) + common + u16(entry.name.size()) + u16(entry.extra.size()) + u16(0) +
                 u16(entry.disk) + u16(0) + u32(0) + u32(offset) + entry.name + entry.extra;
  }
  const auto shift = [](std::size_t number, std::int64_t by) { return number + static_cast<std::size_t>(by); };
  const std::size_t count = shift(entries.size(), end.extra_entries);
  const std::size_t offset = shift(file.size(), end.directory_shift);
  file += directory;
  if (end.zip64) {
    const std::size_t record = shift(file.size(), end.zip64_shift);
    file += u32(0x06064b50) + u64(44) + u32(0) + u32(0) + u32(0) + u64(count) + u64(count) + u64(directory.size()) +
            u64(offset);
    file += u32(0x07064b50) + u32(0) + u64(record) + u32(1);
  }
  const std::size_t shown_offset = end.zip64 ? 0xffffffff : offset;
  const std::size_t shown_count = end.zip64 ? 0xffff : count;
  return file + u32(0x06054b50) + u16(end.disk) + u16(0) + u16(shown_count) + u16(shown_count) + u32(directory.size()) +
         u32(shown_offset) + u16(end.comment.size()) + end.comment;
}

}  // namespace shine::test
