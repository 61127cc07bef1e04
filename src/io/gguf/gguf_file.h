#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "shine/tensor/raw_tensor.h"

namespace shine {

class MappedFile;

/// A value of a GGUF file's metadata. Integers of every width are read as int64 (uint64 above 2^63 - 1 is refused);
/// arrays are checked and left out.
using GgufValue = std::variant<bool, std::int64_t, double, std::string>;

/// A mapped GGUF file of version 2 or 3, little-endian: the format of llama.cpp. Metadata and the tensors' places are
/// read and checked at once; tensors stay in the file until they are touched.
class GgufFile {
 public:
  /// Where a tensor lies, from the first byte of the data on.
  struct Entry {
    DType dtype = DType::float32;
    std::vector<std::int64_t> shape;  ///< row-major: the reverse of the file's order
    std::size_t begin = 0;
  };

  /// Throws IoError (no file), FormatError (another version, a length or place beyond the file, duplicate names, bad
  /// alignment), UnsupportedError for a tensor in a quantised type.
  explicit GgufFile(const std::filesystem::path& path);
  explicit GgufFile(std::shared_ptr<const MappedFile> file);

  const std::map<std::string, GgufValue>& metadata() const { return metadata_; }
  const std::map<std::string, Entry>& entries() const { return entries_; }

  /// The metadata under a key. Throws FormatError naming the key where it is missing or of another type.
  const std::string& text(const std::string& key) const;
  double number(const std::string& key) const;

  /// The tensor's bytes, in the mapping where their alignment suits. Throws FormatError for an unknown name.
  RawTensor tensor(const std::string& name) const;

  const std::filesystem::path& path() const;

 private:
  void read_header();

  std::shared_ptr<const MappedFile> file_;
  std::size_t data_start_ = 0;
  std::map<std::string, GgufValue> metadata_;
  std::map<std::string, Entry> entries_;
};

/// Writes version 3 under a temporary name, syncs and renames it. int64 values are written as uint32 where they fit.
/// Throws FormatError (duplicate or too long names, more than four axes, bytes that do not match the shape),
/// UnsupportedError (a dtype other than float32, float16 and bfloat16), IoError.
/// @param metadata  in the order of the file; "general.alignment" is written by this function
void write_gguf(const std::filesystem::path& path, const NamedRawTensors& tensors,
                const std::vector<std::pair<std::string, GgufValue>>& metadata);

}  // namespace shine
