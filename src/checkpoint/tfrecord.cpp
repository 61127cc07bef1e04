#include "checkpoint/tfrecord.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace shine {
namespace {

// Field numbers and wire types of Event, Summary and Summary.Value (event.proto, summary.proto): number << 3 | type,
// where type 0 is a varint, 1 eight bytes, 2 a length and bytes, 5 four bytes.
constexpr char kEventWallTime = 1 << 3 | 1;
constexpr char kEventStep = 2 << 3 | 0;
constexpr char kEventFileVersion = 3 << 3 | 2;
constexpr char kEventSummary = 5 << 3 | 2;
constexpr char kSummaryValue = 1 << 3 | 2;
constexpr char kValueTag = 1 << 3 | 2;
constexpr char kValueSimpleValue = 2 << 3 | 5;

constexpr std::array<std::uint32_t, 256> crc_table() {
  constexpr std::uint32_t polynomial = 0x82F63B78;  // Castagnoli, bit-reversed
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? polynomial : 0U);
    table[i] = crc;
  }
  return table;
}

template <class Unsigned>
void append_little_endian(std::string& text, Unsigned value) {
  for (std::size_t i = 0; i < sizeof value; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
}

void append_varint(std::string& text, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) text += static_cast<char>((value & 0x7F) | 0x80);
  text += static_cast<char>(value);
}

void append_bytes(std::string& text, char key, std::string_view bytes) {
  text += key;
  append_varint(text, bytes.size());
  text += bytes;
}

/// Out of range becomes infinite; every NaN is the same.
float to_float(double value) {
  if (std::isnan(value)) return std::numeric_limits<float>::quiet_NaN();
  if (std::fabs(value) > std::numeric_limits<float>::max()) {
    return std::copysign(std::numeric_limits<float>::infinity(), static_cast<float>(value > 0 ? 1 : -1));
  }
  return static_cast<float>(value);
}

/// Fields with their default value are left out, as proto3 does.
std::string event_start(double time, std::int64_t step) {
  std::string event;
  if (time != 0.0) {
    event += kEventWallTime;
    append_little_endian(event, std::bit_cast<std::uint64_t>(time));
  }
  if (step != 0) {
    event += kEventStep;
    append_varint(event, static_cast<std::uint64_t>(step));
  }
  return event;
}

}  // namespace

std::uint32_t masked_crc32c(std::string_view bytes) {
  static constexpr auto kTable = crc_table();
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  return std::rotr(~crc, 15) + 0xA282EAD8;
}

std::string tfrecord(std::string_view payload) {
  std::string record;
  append_little_endian(record, static_cast<std::uint64_t>(payload.size()));
  append_little_endian(record, masked_crc32c(record));
  record += payload;
  append_little_endian(record, masked_crc32c(payload));
  return record;
}

std::string version_event(double time) {
  std::string event = event_start(time, 0);
  append_bytes(event, kEventFileVersion, "brain.Event:2");
  return event;
}

std::string scalars_event(double time, std::int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    append_bytes(value, kValueTag, scalar.tag);
    value += kValueSimpleValue;
    append_little_endian(value, std::bit_cast<std::uint32_t>(to_float(scalar.value)));
    append_bytes(summary, kSummaryValue, value);
  }
  std::string event = event_start(time, step);
  append_bytes(event, kEventSummary, summary);
  return event;
}

}  // namespace shine
