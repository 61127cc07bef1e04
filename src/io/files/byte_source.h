#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

namespace shine {

/// The bytes of a file from its start to its end.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Reads up to `bytes`, fewer only at the end. Throws IoError, FormatError (damaged, cut short, see open_packed).
  virtual std::size_t read(char* into, std::size_t bytes) = 0;

  /// Bytes of the file itself, packed where it is, that were read so far.
  virtual std::size_t position() const = 0;
};

/// The file as it is. Throws IoError (missing, unreadable, not a regular file).
std::unique_ptr<ByteSource> open_plain(const std::filesystem::path& path);

/// The content of a gzip or zstd file, unpacked as it is read; one after another, where several were joined. What a few
/// bytes unpack to is bounded: 1 GiB and 200 times what was read of the file. Throws as open_plain, FormatError where
/// the file is not of that kind.
std::unique_ptr<ByteSource> open_gzip(const std::filesystem::path& path);
std::unique_ptr<ByteSource> open_zstd(const std::filesystem::path& path);

/// By the name: unpacked where it ends in .gz or .zst, else as it is.
std::unique_ptr<ByteSource> open_by_name(const std::filesystem::path& path);

/// The extension that tells what is inside, in small letters, without a .gz or .zst behind it: ".txt" of "A.TXT.gz".
std::string inner_extension(const std::filesystem::path& path);

}  // namespace shine
