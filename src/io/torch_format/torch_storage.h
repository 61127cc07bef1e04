#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/files/mapped_file.h"
#include "io/torch_format/stored_zip.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// One storage of a torch.save file: `numel` elements, shared by any number of tensors.
struct TorchStorage {
  std::string key;
  DType dtype = DType::float32;
  std::int64_t numel = 0;
  std::span<const std::byte> bytes;
};

/// Makes tensors from the storages of one file. Numbers come from the pickle and are not trusted.
class TorchStorages {
 public:
  explicit TorchStorages(std::shared_ptr<const MappedFile> file);
  virtual ~TorchStorages() = default;

  /// Throws FormatError where the file has no such storage, or it holds another number of elements or damaged bytes.
  virtual TorchStorage find(const std::string& key, DType dtype, std::int64_t numel) = 0;

  /// The view (offset, shape, strides in elements) of a storage as a contiguous tensor: a part of the mapped file, or a
  /// copy. All copies together are bounded, since a few bytes with strides of 0 can stand for any number of elements.
  /// Throws FormatError where the view reaches outside the storage.
  virtual RawTensor view(const TorchStorage& storage, std::int64_t offset, const std::vector<std::int64_t>& shape,
                         const std::vector<std::int64_t>& strides);

 protected:
  std::string place_of(const std::string& key) const;

 private:
  void charge(std::size_t bytes, const std::string& where);

  std::shared_ptr<const MappedFile> file_;
  std::size_t copy_budget_;
};

/// Those of the zip form.
class ZipStorages : public TorchStorages {
 public:
  /// @param prefix  the archive's folder with its slash: storages are the entries "<prefix>data/<key>"
  ZipStorages(std::shared_ptr<StoredZip> archive, std::string prefix);
  TorchStorage find(const std::string& key, DType dtype, std::int64_t numel) override;

 private:
  std::shared_ptr<StoredZip> archive_;
  std::string prefix_;
};

}  // namespace shine
