#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shine/common/api.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

class MappedFile;

/// A mapped .safetensors file: 8 bytes header length (little-endian), a JSON header, the tensors' bytes.
/// The header is read and checked at once; tensors stay in the file until they are touched.
class SHINE_API SafetensorsFile {
 public:
  /// Where a tensor lies; `begin` and `end` count from the first byte after the header.
  struct Entry {
    DType dtype = DType::float32;
    std::vector<std::int64_t> shape;
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  /// Throws IoError (no file), FormatError (bad header, unknown dtype, ranges that overlap, leave holes or do not match
  /// the shape, duplicate names).
  explicit SafetensorsFile(const std::filesystem::path& path);
  explicit SafetensorsFile(std::shared_ptr<const MappedFile> file);

  /// Tensor names in the order of their bytes in the file.
  const std::vector<std::string>& names() const { return names_; }
  const std::map<std::string, Entry>& entries() const { return entries_; }
  bool contains(const std::string& name) const { return entries_.contains(name); }

  /// The tensor's bytes, in the mapping (or a copy, where the file's alignment does not suit the dtype).
  /// Throws FormatError for an unknown name.
  RawTensor tensor(const std::string& name) const;

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::size_t data_start_ = 0;
  std::vector<std::string> names_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// Writes the file under a temporary name, syncs it to the disk and renames it: `path` may be a file that is mapped.
/// The tensors' order in the file is by element size, largest first, then by name, so that every one is aligned. Throws
/// FormatError (duplicate or reserved name, bytes that do not match the shape) and IoError naming the path (full disk,
/// no permission); nothing is left behind then.
SHINE_API void write_safetensors(const std::filesystem::path& path, const NamedRawTensors& tensors,
                                 const std::map<std::string, std::string>& metadata = {});

}  // namespace shine
