#include "io/torch_format/stored_zip.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "io/files/byte_reader.h"
#include "io/files/pieces.h"
#include "io/json/quote_text.h"
#include "io/torch_format/crc32.h"
#include "io/torch_format/zip_format.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using namespace zip;

constexpr std::uint16_t kEncryptionFlags = 1 | 1 << 6 | 1 << 13;

struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;
};

struct CentralEntry {
  std::string name;
  std::uint64_t size = 0;
  std::uint64_t header_offset = 0;
  std::uint32_t crc = 0;
};

struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator<(const Extent& other) const { return begin < other.begin; }
};

class ZipParser {
 public:
  explicit ZipParser(const MappedFile& file) : bytes_(file.bytes()), where_(file.path().string()) {}

  std::map<std::string, StoredZip::Entry> parse() {
    const Directory directory = find_directory();
    ByteReader reader(bytes_.subspan(directory.offset, directory.bytes), where_ + ": zip directory");
    std::map<std::string, StoredZip::Entry> entries;
    std::vector<Extent> extents;
    for (std::uint64_t i = 0; i < directory.entries; ++i) {
      const CentralEntry entry = read_central(reader);
      const Extent data = locate(entry, directory.offset);
      extents.push_back({entry.header_offset, data.end});
      const auto content = bytes_.subspan(data.begin, data.end - data.begin);
      if (!entries.emplace(entry.name, StoredZip::Entry{content, entry.crc}).second) {
        fail(str("two entries are named ", quote_text(entry.name)));
      }
    }
    if (reader.left() != 0) fail(str(reader.left(), " bytes after the last entry of the zip directory"));
    require_disjoint(extents);
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw FormatError(what, where_); }

  ByteReader at(std::uint64_t offset, std::size_t count, const char* what) const {
    if (offset > bytes_.size() || count > bytes_.size() - offset) fail(str(what, " lies outside the file"));
    return ByteReader(bytes_.subspan(offset, count), str(where_, ": ", what));
  }

  Directory find_directory() const {
    if (bytes_.size() < kEndBytes) fail("too short for a zip file");
    const std::size_t end_offset = bytes_.size() - kEndBytes;
    ByteReader reader = at(end_offset, kEndBytes, "zip end record");
    if (reader.read<std::uint32_t>() != kEndSignature) {
      fail("no zip end record at the end: cut short, damaged, or not written by torch.save");
    }
    const auto disk = reader.read<std::uint16_t>();
    const auto directory_disk = reader.read<std::uint16_t>();
    const auto entries_here = reader.read<std::uint16_t>();
    Directory directory;
    directory.entries = reader.read<std::uint16_t>();
    directory.bytes = reader.read<std::uint32_t>();
    directory.offset = reader.read<std::uint32_t>();
    const bool single = disk == 0 && directory_disk == 0 && entries_here == directory.entries;
    if (!single || reader.read<std::uint16_t>() != 0) fail("zip files in parts or with a comment are not read");
    std::size_t directory_end = end_offset;
    if (end_offset >= kZip64LocatorBytes) {
      ByteReader locator = at(end_offset - kZip64LocatorBytes, kZip64LocatorBytes, "zip64 locator");
      if (locator.read<std::uint32_t>() == kZip64LocatorSignature) directory = read_zip64(locator, directory_end);
    }
    if (directory.offset > directory_end || directory.bytes != directory_end - directory.offset) {
      fail("the zip directory does not end where the end record starts");
    }
    return directory;
  }

  /// Follows the locator; `directory_end` becomes the zip64 end record's offset.
  Directory read_zip64(ByteReader& locator, std::size_t& directory_end) const {
    const auto disk = locator.read<std::uint32_t>();
    const auto offset = locator.read<std::uint64_t>();
    const auto disks = locator.read<std::uint32_t>();
    ByteReader reader = at(offset, kZip64EndBytes, "zip64 end record");
    if (reader.read<std::uint32_t>() != kZip64EndSignature) fail("the zip64 end record is not where its locator says");
    if (reader.read<std::uint64_t>() != kZip64EndBytes - 12) fail("a zip64 end record of an unknown size");
    reader.skip(4);  // versions
    const auto this_disk = reader.read<std::uint32_t>();
    const auto directory_disk = reader.read<std::uint32_t>();
    const auto entries_here = reader.read<std::uint64_t>();
    Directory directory;
    directory.entries = reader.read<std::uint64_t>();
    directory.bytes = reader.read<std::uint64_t>();
    directory.offset = reader.read<std::uint64_t>();
    const bool single = disk == 0 && disks <= 1 && this_disk == 0 && directory_disk == 0;
    if (!single || entries_here != directory.entries) fail("zip files in parts are not read");
    directory_end = offset;
    return directory;
  }

  CentralEntry read_central(ByteReader& reader) const {
    if (reader.read<std::uint32_t>() != kCentralSignature) reader.fail("expected an entry");
    reader.skip(4);  // versions
    const auto flags = reader.read<std::uint16_t>();
    const auto method = reader.read<std::uint16_t>();
    reader.skip(4);  // time, date
    CentralEntry entry;
    entry.crc = reader.read<std::uint32_t>();
    std::uint64_t stored = reader.read<std::uint32_t>();
    entry.size = reader.read<std::uint32_t>();
    const auto name_bytes = reader.read<std::uint16_t>();
    const auto extra_bytes = reader.read<std::uint16_t>();
    const auto comment_bytes = reader.read<std::uint16_t>();
    const auto disk = reader.read<std::uint16_t>();
    reader.skip(6);  // attributes
    entry.header_offset = reader.read<std::uint32_t>();
    entry.name = reader.take_text(name_bytes);
    ByteReader extra(reader.take(extra_bytes), str(where_, ": extra field of ", quote_text(entry.name)));
    reader.skip(comment_bytes);
    read_zip64_sizes(extra, entry, stored);
    if ((flags & kEncryptionFlags) != 0) fail(str("entry ", quote_text(entry.name), " is encrypted"));
    if (method != 0 || stored != entry.size) fail(str("entry ", quote_text(entry.name), " is compressed"));
    if (disk != 0) fail(str("entry ", quote_text(entry.name), " lies in another part of the archive"));
    return entry;
  }

  /// Fills in what the 32-bit fields leave to the zip64 extra field.
  void read_zip64_sizes(ByteReader& extra, CentralEntry& entry, std::uint64_t& stored) const {
    const bool needed = entry.size == kInZip64 || stored == kInZip64 || entry.header_offset == kInZip64;
    while (needed && extra.left() > 0) {
      const auto id = extra.read<std::uint16_t>();
      ByteReader field(extra.take(extra.read<std::uint16_t>()),
                       str(where_, ": zip64 sizes of ", quote_text(entry.name)));
      if (id != kZip64Extra) continue;
      if (entry.size == kInZip64) entry.size = field.read<std::uint64_t>();
      if (stored == kInZip64) stored = field.read<std::uint64_t>();
      if (entry.header_offset == kInZip64) entry.header_offset = field.read<std::uint64_t>();
      return;
    }
    if (needed) fail(str("entry ", quote_text(entry.name), " lacks its zip64 sizes"));
  }

  /// The entry's bytes, after its local header and before the directory.
  Extent locate(const CentralEntry& entry, std::uint64_t directory_offset) const {
    const std::string what = str("local header of ", quote_text(entry.name));
    ByteReader header = at(entry.header_offset, kLocalHeaderBytes, what.c_str());
    if (header.read<std::uint32_t>() != kLocalSignature) fail(str("no ", what, " at byte ", entry.header_offset));
    header.skip(2);
    const auto flags = header.read<std::uint16_t>();
    const auto method = header.read<std::uint16_t>();
    if ((flags & kEncryptionFlags) != 0 || method != 0) fail(str(what, " and the zip directory disagree"));
    header.skip(16);  // time, date, CRC, sizes: zero where a data descriptor follows the data
    const auto name_bytes = header.read<std::uint16_t>();
    const auto extra_bytes = header.read<std::uint16_t>();
    ByteReader name = at(entry.header_offset + kLocalHeaderBytes, name_bytes, what.c_str());
    if (name.take_text(name_bytes) != entry.name) fail(str(what, " and the zip directory disagree"));
    const std::uint64_t begin = entry.header_offset + kLocalHeaderBytes + name_bytes + extra_bytes;
    if (begin > directory_offset || entry.size > directory_offset - begin) {
      fail(str("entry ", quote_text(entry.name), " of ", entry.size, " bytes reaches outside the file"));
    }
    return {begin, begin + entry.size};
  }

  void require_disjoint(std::vector<Extent>& extents) const {
    std::sort(extents.begin(), extents.end());
    for (std::size_t i = 1; i < extents.size(); ++i) {
      if (extents[i].begin < extents[i - 1].end) fail(str("two zip entries overlap at byte ", extents[i].begin));
    }
  }

  std::span<const std::byte> bytes_;
  std::string where_;
};

}  // namespace

StoredZip::StoredZip(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  entries_ = ZipParser(*file_).parse();
}

std::span<const std::byte> StoredZip::read(const std::string& name) {
  Entry& entry = entries_.at(name);
  if (!entry.checked && entry.crc != 0) {
    std::uint32_t found = 0;
    for_each_piece(entry.bytes, file_->is_mapped(), [&](auto piece) { found = add_crc32(found, piece); });
    SHINE_CHECK(found == entry.crc, FormatError, file_->path().string(), ": entry ", quote_text(name),
                " is damaged: its bytes do not have the recorded CRC-32");
  }
  entry.checked = true;
  return entry.bytes;
}

}  // namespace shine
