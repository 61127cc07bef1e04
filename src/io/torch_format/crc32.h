#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace shine {

/// The CRC-32 (as zip files have it) of bytes that follow those with checksum `before`; 0 before the first.
inline std::uint32_t add_crc32(std::uint32_t before, std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(::crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace shine
