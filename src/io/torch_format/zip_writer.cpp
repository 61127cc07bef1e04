#include "io/torch_format/zip_writer.h"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <limits>

#include "io/json/quote_text.h"
#include "io/torch_format/crc32.h"
#include "io/torch_format/zip_format.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using namespace zip;

constexpr std::uint16_t kFlags = 1 << 3 | 1 << 11;  // sizes after the data, UTF-8 names
constexpr std::uint16_t kFlagsWithoutData = 1 << 11;
constexpr std::uint16_t kVersionMadeBy = 0x031e;  // Unix, 3.0
constexpr std::uint16_t kVersionNeeded = 45;      // zip64
constexpr std::uint16_t kStored = 0;
constexpr std::uint64_t kDataAlignment = 64;

/// Little-endian fields of a record, one after another.
class Record {
 public:
  template <class... Fields>
  explicit Record(Fields... fields) {
    (add(fields), ...);
  }

  template <std::unsigned_integral Field>
  void add(Field field) {
    bytes_.append(reinterpret_cast<const char*>(&field), sizeof field);
  }
  void add(std::string_view text) { bytes_ += text; }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

template <class Narrow>
Narrow saturated(std::uint64_t number) {
  return static_cast<Narrow>(std::min<std::uint64_t>(number, std::numeric_limits<Narrow>::max()));
}

/// The extra field with the sizes and the offset that 32 bits cannot hold; empty where they can.
std::string zip64_field(std::uint64_t size, std::uint64_t stored_size, std::uint64_t header_offset) {
  Record numbers;
  if (size >= kInZip64) {
    numbers.add(size);
    numbers.add(stored_size);
  }
  if (header_offset >= kInZip64) numbers.add(header_offset);
  if (numbers.bytes().empty()) return {};
  return Record(kZip64Extra, static_cast<std::uint16_t>(numbers.bytes().size()), std::string_view(numbers.bytes()))
      .bytes();
}

/// The extra field "FB" that fills up to the next aligned byte, if it starts at `offset`.
std::string padding_field(std::uint64_t offset) {
  constexpr std::uint64_t field_header = 4;
  const auto filling = static_cast<std::uint16_t>(-(offset + field_header) % kDataAlignment);
  return Record(std::string_view("FB"), filling).bytes() + std::string(filling, 'Z');
}

}  // namespace

void ZipWriter::add(const std::string& name, std::uint64_t size, const std::function<void(const Sink&)>& fill) {
  SHINE_CHECK(names_.insert(name).second && name.size() <= std::numeric_limits<std::uint16_t>::max(), FormatError,
              "zip entry ", quote_text(name), ": the name is taken or too long");
  Entry entry{name, size, offset_, 0};
  std::string extra = zip64_field(size, 0, offset_);
  const bool wide = !extra.empty();
  extra += padding_field(offset_ + kLocalHeaderBytes + name.size() + extra.size());
  const std::uint32_t unknown = 0;
  write(Record(kLocalSignature, std::uint16_t{0}, size > 0 ? kFlags : kFlagsWithoutData, kStored, unknown, unknown,
               unknown, unknown, static_cast<std::uint16_t>(name.size()), static_cast<std::uint16_t>(extra.size()))
            .bytes());
  write(name);
  write(extra);
  const std::uint64_t begin = offset_;
  fill([&](std::span<const std::byte> piece) {
    entry.crc = add_crc32(entry.crc, piece);
    write({reinterpret_cast<const char*>(piece.data()), piece.size()});
  });
  SHINE_CHECK(offset_ - begin == size, FormatError, "zip entry ", quote_text(name), ": ", offset_ - begin,
              " bytes came, expected ", size);
  if (size > 0) {
    Record descriptor(kDescriptorSignature, entry.crc);
    for (int i = 0; i < 2; ++i) {
      wide ? descriptor.add(size) : descriptor.add(static_cast<std::uint32_t>(size));
    }
    write(descriptor.bytes());
  }
  entries_.push_back(std::move(entry));
}

void ZipWriter::add(const std::string& name, std::string_view content) {
  add(name, content.size(), [&](const Sink& sink) { sink(std::as_bytes(std::span(content.data(), content.size()))); });
}

void ZipWriter::finish() {
  const std::uint64_t directory = offset_;
  for (const Entry& entry : entries_) {
    const std::string extra = zip64_field(entry.size, entry.size, entry.header_offset);
    const auto size = saturated<std::uint32_t>(entry.size);
    write(Record(kCentralSignature, std::uint32_t{0}, entry.size > 0 ? kFlags : kFlagsWithoutData, kStored,
                 std::uint32_t{0}, entry.crc, size, size, static_cast<std::uint16_t>(entry.name.size()),
                 static_cast<std::uint16_t>(extra.size()), std::uint16_t{0}, std::uint16_t{0}, std::uint16_t{0},
                 std::uint32_t{0}, saturated<std::uint32_t>(entry.header_offset))
              .bytes());
    write(entry.name);
    write(extra);
  }
  const std::uint64_t end = offset_, bytes = end - directory, count = entries_.size();
  const std::uint32_t disk = 0;
  write(Record(kZip64EndSignature, std::uint64_t{kZip64EndBytes - 12}, kVersionMadeBy, kVersionNeeded, disk, disk,
               count, count, bytes, directory)
            .bytes());
  write(Record(kZip64LocatorSignature, disk, end, std::uint32_t{1}).bytes());
  write(Record(kEndSignature, std::uint16_t{0}, std::uint16_t{0}, saturated<std::uint16_t>(count),
               saturated<std::uint16_t>(count), saturated<std::uint32_t>(bytes), saturated<std::uint32_t>(directory),
               std::uint16_t{0})
            .bytes());
}

void ZipWriter::write(std::string_view bytes) {
  file_.write(bytes);
  offset_ += bytes.size();
}

}  // namespace shine
