#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/gguf/gguf_value.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

class ByteReader;
class MappedFile;

/// A mapped GGUF file (llama.cpp's format), version 2 or 3, little-endian: magic, counts, metadata, tensor names with
/// their shapes, the tensors' bytes at multiples of an alignment. All but the bytes is read and checked at once.
class GgufFile {
 public:
  /// Throws IoError (no file), FormatError (not GGUF, another version or byte order, a length or offset outside the
  /// file, duplicate names, tensors that overlap or leave holes), UnsupportedError (tensors of quantised types).
  explicit GgufFile(const std::filesystem::path& path);
  explicit GgufFile(std::shared_ptr<const MappedFile> file);

  const GgufMetadata& metadata() const { return metadata_; }

  /// Null where the metadata lacks the key. Throws FormatError where its value has another type.
  template <class T>
  const T* find(const std::string& key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) return nullptr;
    const T* value = std::get_if<T>(&found->second.value);
    if (value == nullptr) fail_type(key);
    return value;
  }

  /// Tensor names in the order of the file.
  const std::vector<std::string>& names() const { return names_; }

  /// Float32, float16 or bfloat16, in the mapping. The shape is row-major: the file's own order turned round.
  /// Throws FormatError for an unknown name.
  RawTensor tensor(const std::string& name) const;

  const std::filesystem::path& path() const;

 private:
  struct Entry {
    DType dtype = DType::float32;
    std::vector<std::int64_t> shape;
    std::uint64_t offset = 0;  ///< from the start of the tensors' bytes
  };

  void read_metadata(ByteReader& reader, std::uint64_t count);
  void read_entries(ByteReader& reader, std::uint64_t count);
  void require_cover(std::uint64_t alignment) const;
  std::uint64_t alignment() const;
  [[noreturn]] void fail_type(const std::string& key) const;

  std::shared_ptr<const MappedFile> file_;
  std::size_t data_start_ = 0;
  GgufMetadata metadata_;
  std::vector<std::string> names_;
  std::map<std::string, Entry> entries_;
};

}  // namespace shine
