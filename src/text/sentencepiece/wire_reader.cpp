#include "text/sentencepiece/wire_reader.h"

#include <bit>

#include "shine/common/error.h"

namespace shine {

void WireReader::fail(const std::string& what) const {
  throw FormatError(what, where_);
}

std::uint64_t WireReader::take_varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) fail("the message ends within a number");
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  fail("a number of more than 64 bits");
}

std::uint64_t WireReader::take_fixed(std::size_t bytes) {
  if (rest_.size() < bytes) fail("the message ends within a number");
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i > 0; --i) value = value << 8 | static_cast<unsigned char>(rest_[i - 1]);
  rest_.remove_prefix(bytes);
  return value;
}

std::optional<WireField> WireReader::next() {
  if (rest_.empty()) return std::nullopt;
  const std::uint64_t key = take_varint();
  if (key >> 3 == 0 || key >> 3 > 0x1FFFFFFF) fail(str("a field has the number ", key >> 3));
  WireField field;
  field.number = static_cast<std::uint32_t>(key >> 3);
  switch (key & 7) {
    case 0:
      field.kind = WireField::Kind::varint;
      field.integer = take_varint();
      return field;
    case 1:
      field.kind = WireField::Kind::fixed64;
      field.integer = take_fixed(8);
      return field;
    case 2: {
      field.kind = WireField::Kind::bytes;
      const std::uint64_t length = take_varint();
      if (length > rest_.size()) fail(str("a field of ", length, " bytes, ", rest_.size(), " are left"));
      field.bytes = rest_.substr(0, length);
      rest_.remove_prefix(length);
      return field;
    }
    case 5:
      field.kind = WireField::Kind::fixed32;
      field.integer = take_fixed(4);
      return field;
    default: fail(str("field ", field.number, " has the wire type ", key & 7));
  }
}

void WireReader::expect(const WireField& field, WireField::Kind kind) const {
  if (field.kind != kind) fail(str("field ", field.number, " is of another type than in sentencepiece's format"));
}

std::string_view WireReader::text(const WireField& field) const {
  expect(field, WireField::Kind::bytes);
  return field.bytes;
}

bool WireReader::flag(const WireField& field) const {
  expect(field, WireField::Kind::varint);
  return field.integer != 0;
}

std::int64_t WireReader::integer(const WireField& field) const {
  expect(field, WireField::Kind::varint);
  return static_cast<std::int64_t>(field.integer);
}

float WireReader::number(const WireField& field) const {
  expect(field, WireField::Kind::fixed32);
  return std::bit_cast<float>(static_cast<std::uint32_t>(field.integer));
}

}  // namespace shine
