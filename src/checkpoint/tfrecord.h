#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensorboard_file.h"

namespace shine {

/// CRC-32C (Castagnoli) of the bytes, rotated right by 15 bits plus a constant, as TFRecord files store it.
std::uint32_t masked_crc32c(std::string_view bytes);

/// One record: length (8 bytes), its checksum, the payload, its checksum; all little-endian.
std::string tfrecord(std::string_view payload);

/// The Event that opens a file. @param time  seconds since the epoch
std::string version_event(double time);

/// The Event that holds the scalars of one step.
std::string scalars_event(double time, std::int64_t step, const std::vector<Scalar>& scalars);

}  // namespace shine
